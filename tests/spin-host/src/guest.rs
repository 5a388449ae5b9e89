//! Instances of the component, which handle one request each or many.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::Sleep;
use wasmtime::{
    Store, StoreContextMut,
    component::{Component, GuestTaskId, HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    handler::{HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus},
    p3::bindings::{Service, ServicePre},
};

use crate::{
    bindings::Spin,
    manifest::Application,
    postgres::{AllowedHosts, Pools},
};

/// For how long Spin keeps an instance that has nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// What all instances share.
pub struct App {
    /// What runs.
    pub application: Application,
    /// Where connections may go.
    pub allowed_hosts: AllowedHosts,
    /// The connections.
    pub pools: Pools,
    /// When to trap.
    pub trap_after_statement: Option<usize>,
}

/// The host's side of an instance.
pub struct Guest {
    app: Arc<App>,
    /// The resources that the instance has.
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: NoOutboundHttp,
    statements: usize,
}

impl Guest {
    /// What all instances share.
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.app)
    }

    /// A statement was answered by the database, and the guest does not know yet: the worst moment for a trap.
    pub fn statement_is_done(&mut self) -> wasmtime::Result<()> {
        self.statements += 1;
        if self.app.trap_after_statement == Some(self.statements) {
            wasmtime::bail!("a trap, as was asked for, after statement {}", self.statements);
        }
        Ok(())
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

/// No HTTP host is among the allowed ones.
struct NoOutboundHttp;

type IoResult = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoOutboundHttp {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: IoResult,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, IoResult), Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

/// Makes instances.
pub struct Instances {
    component: ServicePre<Guest>,
    app: Arc<App>,
    requests: usize,
    at_once: usize,
}

impl Instances {
    /// Instances that take up to `requests` requests, `at_once` of them at the same time.
    pub fn new(component: &Component, app: Arc<App>, requests: usize, at_once: usize) -> wasmtime::Result<Self> {
        let mut linker = Linker::<Guest>::new(component.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        Spin::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        let component = ServicePre::new(linker.instantiate_pre(component)?)?;
        Ok(Self { component, app, requests, at_once })
    }

    /// How long it takes to make an instance: the median of `count`.
    pub async fn time(&self, count: usize) -> wasmtime::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..count {
            let started = Instant::now();
            let instance = self.instantiate().await?;
            times.push(started.elapsed());
            drop(instance);
        }
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default())
    }
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Limits;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Limits>> {
        let guest = Guest {
            app: Arc::clone(&self.app),
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().inherit_stdout().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            outbound: NoOutboundHttp,
            statements: 0,
        };
        let mut store = Store::new(self.component.engine(), guest);
        let service: Service = self.component.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: Guest::http,
            expiration: Expiration(Box::pin(tokio::time::sleep(IDLE))),
            state: Limits { requests: self.requests, at_once: self.at_once },
        })
    }
}

/// Ends an idle instance. Spin has no time limit for requests unless it is given one.
pub struct Expiration(Pin<Box<Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let end = (start + IDLE).into();
        if self.0.deadline() != end {
            self.0.as_mut().reset(end);
        }
        self.0.as_mut().poll(context)
    }
}

/// How much an instance takes on.
pub struct Limits {
    requests: usize,
    at_once: usize,
}

impl WorkerState for Limits {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, at_once: usize, requests: usize) -> ShouldAccept {
        if requests >= self.requests {
            ShouldAccept::Never
        } else if at_once >= self.at_once {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<Guest>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            eprintln!("an instance failed: {error:?}");
        }
    }
}
