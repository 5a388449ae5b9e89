//! A real Chromium, driven through its WebDriver as a person would use it, and a client's redirect endpoint to arrive
//! at. Both are found on the machine (`tests/run.sh` installs them); nothing is downloaded.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    By, CapabilitiesHelper as _, ChromiumLikeCapabilities as _, Cookie, DesiredCapabilities, Key, LoggingPrefsLogLevel,
    WebDriver, WebElement,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use url::Url;

/// For how long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The driver's process with the browsers it started; they end with it.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start() -> Self {
        // It takes a free port of IPv4 and then the same one of IPv6, and gives up where somebody else has that.
        (0..10).find_map(|_| Self::try_start()).expect("chromedriver finds a port")
    }

    fn try_start() -> Option<Self> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): tests/run.sh installs it"));
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // It must not block on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        // Without a port, it is dropped here.
        let driver = Self { process, port: port.unwrap_or_default() };
        port.map(|_| driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // What is left over after a regular end: nothing. After any other: the browser.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// How a browser differs from one that was just unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Pages may not run scripts.
    pub without_javascript: bool,
    /// The viewport in CSS pixels, with a touch screen.
    pub phone: Option<(u32, u32)>,
    /// The person likes it dark.
    pub dark: bool,
}

/// A browser with a profile of its own.
pub struct Browser {
    driver: WebDriver,
    _process: Driver,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failure the processes are killed. Asking them to end would wait for an answer that may not come.
        let _ = self.driver.clone().leak();
    }
}

impl Browser {
    /// Starts one.
    pub async fn start(options: Options) -> Self {
        let profile = tempfile::Builder::new().prefix("authly-browser-").tempdir().expect("a temporary directory");
        let process = Driver::start();
        let mut capabilities = DesiredCapabilities::chromium();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--lang=en",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument).expect("a string");
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a level");
        let mut preferences = json!({ "credentials_enable_service": false });
        if options.without_javascript {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        capabilities.add_experimental_option("prefs", preferences).expect("JSON");
        // What chromedriver takes for Chrome's own name.
        capabilities.set("browserName", "chrome").expect("a string");
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", process.port), capabilities)
            .await
            .unwrap_or_else(|error| panic!("chromium does not start: {error}"));
        let browser = Self { driver, _process: process, _profile: profile };
        if let Some((width, height)) = options.phone {
            let phone = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
            browser.cdp("Emulation.setDeviceMetricsOverride", phone).await;
        }
        if options.dark {
            let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
            browser.cdp("Emulation.setEmulatedMedia", dark).await;
        }
        browser
    }

    async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(command, parameters).await.expect("DevTools answer")
    }

    /// The driver, for what has no word here.
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Ends it, after a look at the console: a page that a browser complains about is not right. What it says of a
    /// status in `expected_statuses` is no complaint: the page under test has that status.
    pub async fn close(self, expected_statuses: &[u16]) {
        let log = self.driver.browser_log().await.expect("the console's messages");
        let is_expected = |message: &str| {
            expected_statuses.iter().any(|status| {
                message.contains(&format!("Failed to load resource: the server responded with a status of {status}"))
            })
        };
        let complaints: Vec<_> = log.iter().filter(|entry| !is_expected(&entry.message)).collect();
        assert!(complaints.is_empty(), "the console says: {complaints:#?}");
        self.driver.clone().quit().await.expect("the browser ends");
    }

    // ---- what a person does

    /// Types an address.
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The only element of this selector, once it is there.
    pub async fn element(&self, css: &str) -> WebElement {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.driver.find_all(By::Css(css)).await.as_deref() {
                Ok([element]) => return element.clone(),
                Ok([_, _, ..]) => panic!("more than one {css} on {}", self.page().await),
                other => {
                    if Instant::now() >= deadline {
                        panic!("{other:?}: no {css} on {}", self.page().await);
                    }
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether there is such an element right now.
    pub async fn has(&self, css: &str) -> bool {
        !self.driver.find_all(By::Css(css)).await.expect("a valid selector").is_empty()
    }

    /// Writes into a field, in place of what it holds.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.expect("a field can be cleared");
        field.send_keys(text).await.expect("a field takes text");
    }

    /// Clicks or taps.
    pub async fn click(&self, css: &str) {
        let element = self.element(css).await;
        element.click().await.unwrap_or_else(|error| panic!("{css} cannot be clicked: {error}"));
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key).perform().await.expect("keys are pressed");
    }

    /// Presses a key with the shift key held down.
    pub async fn press_with_shift(&self, key: Key) {
        let keys = self.driver.action_chain().key_down(Key::Shift).send_keys(key).key_up(Key::Shift);
        keys.perform().await.expect("keys are pressed");
    }

    /// Types, wherever the focus is.
    pub async fn type_text(&self, text: &str) {
        self.driver.action_chain().send_keys(text).perform().await.expect("keys are pressed");
    }

    /// Fills in the login form and presses its button.
    pub async fn log_in(&self, username: &str, password: &str) {
        self.expect_title("Log in").await;
        self.fill("#username", username).await;
        self.fill("#password", password).await;
        self.click("main form button").await;
    }

    /// Presses "Allow" on the consent page.
    pub async fn allow(&self) {
        self.expect_title("Allow ").await;
        self.click("button[value=allow]").await;
    }

    // ---- what a person sees

    /// Waits for a page whose title has this in it.
    #[track_caller]
    pub fn expect_title(&self, expected: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                // In the midst of a navigation there is none.
                let title = self.driver.title().await.unwrap_or_default();
                if title.contains(expected) {
                    return;
                }
                if Instant::now() >= deadline {
                    panic!("{caller}: expected {expected:?} but saw {title:?}: {}", self.page().await);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// All visible text of the page.
    pub async fn text(&self) -> String {
        self.element("body").await.text().await.expect("a page has text")
    }

    /// The element with the focus, as `#id`, or as its text.
    pub async fn focused(&self) -> String {
        let script = "const it = document.activeElement; return it.id ? '#' + it.id : it.textContent.trim();";
        if self.evaluate("return document.activeElement === document.body").await == json!(true) {
            return "nothing".to_owned();
        }
        self.evaluate(script).await.as_str().expect("a string").to_owned()
    }

    /// Whether the element with the focus shows that it has it.
    pub async fn is_focus_visible(&self) -> bool {
        let script = "const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;";
        self.evaluate(script).await == json!(true)
    }

    /// The result of a script. Not in a browser without them.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.driver.execute(script, vec![]).await.expect("the script runs").json().clone()
    }

    /// The cookies that go to the page's server.
    pub async fn cookies(&self) -> Vec<Cookie> {
        self.driver.get_all_cookies().await.expect("the browser shows its cookies")
    }

    /// A picture of the window, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.expect("a picture")
    }

    /// Address and source, for the message of a failure.
    pub async fn page(&self) -> String {
        let url = self.driver.current_url().await.map_or_else(|error| error.to_string(), String::from);
        let source = self.driver.source().await.unwrap_or_else(|error| error.to_string());
        format!("{url}:\n{source}")
    }
}

/// A request that arrived at a client.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: Url,
    /// The header lines as they were sent.
    pub headers: Vec<String>,
}

impl Arrival {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client's redirect endpoint on this machine. It keeps every request, and answers with a page titled "Client".
pub struct RedirectEndpoint {
    port: u16,
    arrivals: Arc<(Mutex<Vec<Arrival>>, Notify)>,
    task: JoinHandle<()>,
}

impl RedirectEndpoint {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let arrivals = Arc::new((Mutex::default(), Notify::new()));
        let shared = Arc::clone(&arrivals);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A browser opens connections in advance, so one must not wait for another.
                tokio::spawn(receive(stream, Arc::clone(&shared)));
            }
        });
        Self { port, arrivals, task }
    }

    /// Its address under this name for the machine.
    pub fn uri(&self, host: &str) -> String {
        format!("http://{host}:{}/callback", self.port)
    }

    /// What has arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.0.lock().expect("nobody panics with it").clone()
    }

    /// Waits for the next request, and takes it.
    pub async fn arrival(&self) -> Arrival {
        let (arrivals, notify) = &*self.arrivals;
        let next = async {
            loop {
                let notified = notify.notified();
                if let Some(arrival) = arrivals.lock().expect("nobody panics with it").pop() {
                    return arrival;
                }
                notified.await;
            }
        };
        timeout(PATIENCE, next).await.expect("the browser arrives at the client")
    }
}

impl Drop for RedirectEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The script would change the title, where scripts run.
const CLIENT_PAGE: &str = "<!doctype html><html lang=en><title>Client</title><link rel=icon href='data:,'>\
    <p>You are back.</p><script>document.title = 'Client with script'</script></html>";

async fn receive(stream: TcpStream, arrivals: Arc<(Mutex<Vec<Arrival>>, Notify)>) -> Option<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let request = lines.next()?;
    let mut request = request.split(' ');
    let (method, path) = (request.next()?.to_owned(), request.next()?.to_owned());
    let headers: Vec<_> = lines.collect();
    let mut arrival = Arrival { method, url: Url::parse("http://host.invalid").ok()?, headers };
    arrival.url = Url::parse(&format!("http://{}{path}", arrival.header("host")?)).ok()?;
    arrivals.0.lock().expect("nobody panics with it").push(arrival);
    arrivals.1.notify_one();
    let length = CLIENT_PAGE.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
    stream.write_all(format!("{head} {length}\r\n\r\n{CLIENT_PAGE}").as_bytes()).await.ok()
}
