//! What `authly-admin` says about itself, and what README.md says about it.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use authly_tests::shell::{Shell, stderr, stdout};

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    // What is indented further is the end of a description.
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Commands that change nothing, besides `list` and `show`; those at a server's door; and the jobs, which any timer runs as well.
const WITHOUT_DRY_RUN: [&str; 8] =
    ["status", "audit export", "maintenance status", "maintenance run", "login", "logout", "whoami", "completions"];

/// Visits every command below this one, and returns how many there are.
fn visit(shell: &Shell, command: &[&str]) -> usize {
    let help = shell.succeed("authly-admin", &[command, &["--help"]].concat());
    assert!(help.contains("Usage: authly-admin"), "{command:?}: {help}");
    let about = help.lines().next().expect("a line");
    assert!(about.len() > 10 && !about.starts_with("Usage"), "{command:?} does not say what it does: {help}");
    let below = listed(&help);
    let name = command.join(" ");
    let changes = !matches!(command.last(), Some(&"list" | &"show")) && !WITHOUT_DRY_RUN.contains(&name.as_str());
    assert!(!below.is_empty() || help.contains("--dry-run") == changes, "{name}: {help}");
    let visit_one = |name: &String| visit(shell, &[command, &[name]].concat());
    if below.is_empty() { 1 } else { below.iter().map(visit_one).sum() }
}

/// Help needs no database, and leaves nothing behind.
#[test]
fn every_command_explains_itself() {
    let shell = Shell::new(&[]);
    assert_eq!(visit(&shell, &[]), 39, "the commands");
    let help = shell.succeed("authly-admin", &["--help"]);
    assert!(help.starts_with("Administer Authly"), "{help}");
    let delete = shell.succeed("authly-admin", &["scope", "delete", "--help"]);
    assert!(delete.starts_with("Delete a scope"), "{delete}");
    for code in ["  0  done", "  3  what was named does not exist", " 10  `client apply --exit-code`"] {
        assert!(help.contains(code), "{code}: {help}");
    }
    assert!(shell.succeed("authly-admin", &["--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(fs::read_dir(shell.path()).expect("a directory").next().is_none(), "it made something");
}

#[test]
fn completions_know_every_command() {
    let shell = Shell::new(&[]);
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.succeed("authly-admin", &["completions", name]);
        for word in ["rotate-secret", "set-password", "maintenance", "dry-run"] {
            assert!(script.contains(word), "{word} is not completed in {name}");
        }
    }
    let script = shell.succeed("authly-admin", &["completions", "bash"]);
    let mut bash = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().expect("bash");
    bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("it reads");
    assert!(bash.wait().expect("it ends").success(), "bash does not understand it");
    assert!(fs::read_dir(shell.path()).expect("a directory").next().is_none(), "it made something");
}

/// The command lines of this program in the README's blocks of shell.
fn examples(readme: &str) -> Vec<String> {
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.map(|block| block.replace("\\\n", " ")).collect::<String>();
    let lines = lines.lines().map(str::trim).filter(|line| line.starts_with("authly-admin "));
    lines.map(str::to_owned).collect()
}

/// As they stand there, one after another, in a shell with a terminal on which the program can ask. What a reader has to
/// fill in is filled in.
#[test]
fn the_examples_of_the_readme_run() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let examples = examples(&fs::read_to_string(readme).expect("the README"));
    assert!(examples.len() >= 3, "{examples:?}");
    let shell = Shell::new(&[]);
    shell.admin_json(&["client", "create", "--name", "A client", "--type", "confidential", "--client-id", "CLIENT_ID"]);
    let clients =
        "[{client_id: app, client_name: App, client_type: public, redirect_uris: [https://app.example/cb]}]\n";
    fs::write(shell.path().join("clients.yaml"), clients).expect("a file");
    for example in &examples {
        // A server elsewhere is not there; that its arguments are understood shows all the same.
        let example = if example.contains("--url") { &format!("{example} --help") } else { example };
        let output = shell.on_terminal(example, &"a password for the README\n".repeat(2));
        assert!(output.status.success(), "{example}: {}{}", stdout(&output), stderr(&output));
    }
}
