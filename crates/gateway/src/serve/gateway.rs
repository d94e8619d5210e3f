//! Starting and stopping a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use futures_util::future::OptionFuture;
use slarouter_config::Config;
use slarouter_core::{Account, Agreement, Certificate, Policy, Timestamp};
use slarouter_learner::{
    FeaturesId, LearnerTask, Learning, LearningError, LogRouteError, Progress, Publisher, SlaWatch, WarmStartError,
    replay, watched,
};
use slarouter_store::{Store, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::reload::Reloader;
use super::reprice::{self, LoggedRoutes};
use super::sockets::{Inherited, InheritedError, Socket};
use super::{alerting, listener, retention, server, sharing, starting, sums};
use crate::admission::auth::Auth;
use crate::admission::keys::{FirstSecret, KeyBook};
use crate::admission::room::Room;
use crate::admission::token::Signer;
use crate::alerts::Alerts;
use crate::app::App;
use crate::aside::Aside;
use crate::clock::Clock;
use crate::features::{EncoderError, Features};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::prompts::PromptKeys;
use crate::reloads::{Orders, Reloads};
use crate::telemetry::{Telemetry, TelemetryError};
use crate::tls::{self, TlsError};
use crate::upstream::{Checks, Health, Upstream, UpstreamError};

/// A running gateway.
pub struct Gateway {
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    /// What answers under the configuration in force.
    live: Arc<ArcSwap<App>>,
    /// Where snapshots are published, by configuration.
    publishers: watch::Receiver<Arc<Publisher>>,
    stop_reloading: watch::Sender<bool>,
    stop_serving: watch::Sender<bool>,
    stop_operating: watch::Sender<bool>,
    stop_learning: watch::Sender<bool>,
    server: JoinHandle<()>,
    /// The accept loop of the operator's listener, if there is one.
    operator: Option<JoinHandle<()>>,
    learner: JoinHandle<()>,
    reloader: JoinHandle<()>,
    /// Puts prices into force that have a date, and looks for what is wrong.
    watching: JoinHandle<()>,
}

/// A route as it stands.
#[derive(Clone, Debug)]
pub struct RouteView {
    /// Its name.
    pub name: Arc<str>,
    /// The satisfaction target.
    pub alpha: f64,
    /// Totals so far.
    pub account: Account,
    /// The virtual queue, where the policy has one.
    pub queue: Option<f64>,
    /// What can be promised of the satisfaction so far, where the policy keeps such an account.
    pub certificate: Option<Certificate>,
    /// How often its judge and people say the same of an answer.
    pub agreement: Agreement,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on; likely another process does.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A socket that was handed over cannot be used.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// The database cannot be opened or written.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Anybody who reaches the address could spend the operator's money. The configuration is at fault.
    #[error(
        "anybody who reaches {addr} could spend your money: set server.api_keys or [[keys]], make a key with `slarouter keys \
         create`, or set server.allow_unauthenticated = true"
    )]
    Open {
        /// The address.
        addr: SocketAddr,
    },
    /// The certificates cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] TlsError),
    /// What was learnt cannot be loaded.
    #[error("the saved state: {0}")]
    Learning(#[from] LearningError),
    /// The HTTP client cannot be made; likely the system's TLS roots.
    #[error(
        "the HTTP client: {0}: it needs certificates of authorities: install ca-certificates, or set SSL_CERT_FILE"
    )]
    Client(#[from] UpstreamError),
    /// The encoder cannot be used.
    #[error("the encoder of [features]: {0}")]
    Encoder(#[from] EncoderError),
    /// The file of a warm start.
    #[error(transparent)]
    WarmStart(#[from] WarmStartError),
    /// Traces cannot be sent.
    #[error("[telemetry]: {0}")]
    Telemetry(#[from] TelemetryError),
    /// A route cannot be written down.
    #[error("a route cannot be logged: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<LogRouteError> for StartError {
    fn from(error: LogRouteError) -> Self {
        match error {
            LogRouteError::WarmStart(error) => error.into(),
            LogRouteError::Json(error) => error.into(),
        }
    }
}

/// What is listened on.
struct Sockets {
    public: Socket,
    operator: Option<Socket>,
    /// How connections are encrypted, if they are.
    tls: Option<TlsAcceptor>,
}

impl Gateway {
    /// Opens the store, learns what the log holds, and listens. Ready for requests on return.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_on(config, Inherited::default()).await
    }

    /// The same on sockets that were handed over, where one has the address of the configuration.
    ///
    /// # Errors
    /// As [`start`](Self::start), and if the configuration does not name the address of one of them.
    pub async fn start_on(config: Config, inherited: Inherited) -> Result<Self, StartError> {
        Self::start_by(config, inherited, Arc::new(Clock::default()), None).await
    }

    /// Starts by this clock; learns whenever `steps` changes, or without them whenever something is committed.
    pub(super) async fn start_by(
        config: Config,
        mut inherited: Inherited,
        clock: Arc<Clock>,
        steps: Option<watch::Receiver<u64>>,
    ) -> Result<Self, StartError> {
        inherited.check(&config)?;
        let mut socket = |addr| inherited.or_bind(addr).map_err(|source| StartError::Listen { addr, source });
        let public = socket(config.server.listen)?;
        let operator = config.server.admin_listen.map(socket).transpose()?;
        let features = Features::start(&config.features)?;
        let tls = config.server.tls.as_ref().map(tls::acceptor).transpose()?;
        let started = clock.now();
        let (progress, seen) = watch::channel(Progress::default());
        let operator_tls = tls.clone().filter(|_| !is_loopback(&config));
        let waiting = async {
            let operator =
                operator.as_ref().map(|operator| starting::answer(operator, false, operator_tls, seen.clone()));
            tokio::select! {
                never = starting::answer(&public, true, tls.clone(), seen.clone()) => never,
                Some(never) = OptionFuture::from(operator) => never,
            }
        };
        let begun = Begun::of(&config, features.id(), &clock, &progress);
        let Begun { store, book, auth, learning, logged } = tokio::select! {
            begun = begun => begun?,
            never = waiting => match never {},
        };
        let (reloads, orders) = Reloads::channel();
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new());
        let app = Arc::new(App {
            telemetry: Telemetry::start(&config.telemetry, metrics.span_counts())?.map(Arc::new),
            auth: Arc::new(auth),
            logins: Arc::default(),
            keyed: Arc::new(Mutex::new(config.clone())),
            book,
            signer: Signer::of(&config.browser),
            prompts: Arc::new(PromptKeys::new(&config.store.prompt_keys)),
            loopback: is_loopback(&config),
            upstream: Arc::new(Upstream::new(config.upstream.clone(), clock.clone())?),
            features: Arc::new(features),
            room: Arc::new(Room::new(config.server.max_body_bytes_at_once)),
            metrics: metrics.clone(),
            health: Health::new(&config.models, &config.upstream),
            alerts: Arc::new(Alerts::beside(&config.store.url)?),
            raters: Arc::default(),
            sessions: Arc::default(),
            stuck: Arc::new(AtomicBool::new(false)),
            current: Arc::new(std::sync::Mutex::new(tokio::time::Instant::now())),
            draining: Arc::default(),
            reloads,
            replaying: Arc::default(),
            figures: Arc::default(),
            aside: Arc::new(if steps.is_some() { Aside::held() } else { Aside::default() }),
            last_hour: Arc::default(),
            journal: Arc::new(Journal::new(store.clone(), metrics)),
            store,
            published: Arc::new(ArcSwap::from_pointee(learning.snapshot())),
            clock,
            started,
            config,
        });
        app.metrics.configured(started);
        reprice::tell(&app);
        Ok(Self::run(app, Sockets { public, operator, tls }, learning, logged, orders, steps))
    }

    /// Starts all tasks.
    fn run(
        app: Arc<App>,
        sockets: Sockets,
        learning: Learning,
        logged: LoggedRoutes,
        orders: Orders,
        steps: Option<watch::Receiver<u64>>,
    ) -> Self {
        let Sockets { public, operator, tls } = sockets;
        let publisher = Publisher::new(app.published.clone(), app.config.routes.keys().cloned().collect());
        let (publisher, publishers) = watch::channel(publisher);
        let (stop_reloading, reloading) = watch::channel(false);
        let (stop_serving, serving) = watch::channel(false);
        let (stop_operating, operating) = watch::channel(false);
        let (stop_learning, learning_stops) = watch::channel(false);
        let learner = LearnerTask {
            learning,
            wake: steps.unwrap_or_else(|| app.store.committed()),
            store: app.store.clone(),
            publisher: publishers.clone(),
            stuck: app.stuck.clone(),
            current: app.current.clone(),
            snapshot_every: app.config.store.snapshot_every,
            sla: SlaWatch::new(app.config.routes.keys()),
            calendar: app.calendar(),
            last_hour: app.last_hour.clone(),
        };
        let clock = app.clock.clone();
        let learner = tokio::spawn(watched(learner.run(move || clock.now(), learning_stops), app.stuck.clone()));
        let addr = public.addr(app.config.server.listen);
        let admin_addr = operator.as_ref().map(|operator| operator.addr(addr));
        let public_listener = Arc::new(ArcSwap::from_pointee(listener::public(&app, tls.clone())));
        let [pricing_stops, alerting_stops, telling_stops, keeping_stops, sharing_stops] =
            [(); 5].map(|()| serving.clone());
        let server = tokio::spawn(server::serve(public, public_listener.clone(), serving));
        let operator = operator.map(|operator| {
            let shared = Arc::new(ArcSwap::from_pointee(listener::operator(&app, tls)));
            (shared.clone(), tokio::spawn(server::serve(operator, shared, operating)))
        });
        let (operator_listener, operator) = operator.unzip();
        let checks = Checks::start(&app.config, &app.health, &app.upstream, &app.metrics);
        let live = Arc::new(ArcSwap::new(app));
        let logged = Arc::new(logged);
        let pricing = reprice::keep_in_force(live.clone(), logged.clone(), pricing_stops);
        let alerting = alerting::keep_looking(live.clone(), alerting_stops);
        let telling = sums::keep_telling(live.clone(), telling_stops);
        let keeping = retention::keep_short(live.clone(), keeping_stops);
        let sharing = sharing::keep_up(live.clone(), logged.clone(), sharing_stops);
        let watching = tokio::spawn(async { _ = tokio::join!(pricing, alerting, telling, keeping, sharing) });
        let reloader = Reloader {
            live: live.clone(),
            publisher,
            public: public_listener,
            operator: operator_listener,
            checks,
            logged,
        };
        let reloader = tokio::spawn(reloader.run(orders, reloading));
        Self {
            addr,
            admin_addr,
            live,
            publishers,
            stop_reloading,
            stop_serving,
            stop_operating,
            stop_learning,
            server,
            operator,
            learner,
            reloader,
            watching,
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.live.load().store.clone()
    }

    pub(super) fn aside(&self) -> Arc<Aside> {
        self.live.load().aside.clone()
    }

    pub(super) fn publishers(&self) -> watch::Receiver<Arc<Publisher>> {
        self.publishers.clone()
    }

    /// Where it listens; the port is known even if the configuration said 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the operator's listener is, if there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// The configured routes as of the last published snapshot.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        let app = self.live.load();
        let snapshot = app.published.load();
        let configured = |name: &Arc<str>| app.config.routes.contains_key(name);
        let view = |(name, router): (&Arc<str>, &slarouter_core::Router)| RouteView {
            name: name.clone(),
            alpha: router.alpha(),
            account: router.account().clone(),
            queue: router.policy().queue(),
            certificate: router.certificate(),
            agreement: snapshot.agreements.get(name).copied().unwrap_or_default(),
        };
        snapshot.routes.iter().filter(|(name, _)| configured(name)).map(view).collect()
    }

    /// Asks for reloads of the configuration, as on SIGHUP.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.live.load().reloads.clone()
    }

    /// Says on `/readyz` that it goes away, serves on for the delay of the configuration, then stops accepting, lets open requests, streams and verdicts under way finish within the grace period and cuts off what is left, stops the
    /// operator's listener, learns the rest of the log, saves the state and closes the store.
    pub async fn shutdown(self) {
        self.live.load().draining.store(true, Ordering::Relaxed);
        let _ = self.stop_reloading.send(true);
        let _ = self.reloader.await;
        let app = self.live.load_full();
        // Load balancers are to see it first.
        tokio::time::sleep(app.config.server.shutdown_delay).await;
        // The receivers may be gone already; then there is nothing to stop.
        let _ = self.stop_serving.send(true);
        let (_, unjudged) = tokio::join!(self.server, app.aside.close(app.config.server.shutdown_grace));
        if unjudged > 0 {
            app.metrics.not_judged(unjudged as u64);
            tracing::warn!(unjudged, "answers that waited for the judge were not judged");
        }
        // The operator sees the draining to its end: `/readyz` and `/metrics` answer until here.
        let _ = self.stop_operating.send(true);
        if let Some(operator) = self.operator {
            let _ = operator.await;
        }
        let _ = self.watching.await;
        if let Some(telemetry) = &app.telemetry {
            telemetry.shutdown().await;
        }
        // Settles the last outcomes in the log before the learner takes its final look.
        let store: Arc<dyn Store> = app.store.clone();
        if let Err(error) = store.flush().await {
            tracing::error!(%error, "the log could not be flushed");
        }
        let _ = self.stop_learning.send(true);
        let _ = self.learner.await;
        store.close().await;
    }
}

/// What is known before the first request.
struct Begun {
    store: Arc<dyn Store>,
    book: KeyBook,
    auth: Auth,
    learning: Learning,
    logged: LoggedRoutes,
}

impl Begun {
    /// Opens the store and learns what the log holds, which may take long.
    async fn of(
        config: &Config,
        features: &FeaturesId,
        clock: &Arc<Clock>,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self, StartError> {
        let started = clock.now();
        let store = &config.store;
        let file = slarouter_store::beside(&store.url, ".spool")?;
        let spool = (store.spool_bytes > 0).then_some((file.as_path(), store.spool_bytes));
        let store = slarouter_store::join(&store.url, store.queue, spool).await?;
        let (book, auth) = keys(config, &store, clock, started).await?;
        let (learning, logged) = learn(config, store.as_ref(), features, clock, progress).await?;
        Ok(Self { store, book, auth, learning, logged })
    }
}

/// Whether the administrator's listener is within this machine.
fn is_loopback(config: &Config) -> bool {
    config.server.admin_listen.unwrap_or(config.server.listen).ip().is_loopback()
}

/// The keys of configuration and store, with what was spent on them.
///
/// # Errors
/// Also that anybody may call and could; then the store is closed.
async fn keys(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<Clock>,
    started: Timestamp,
) -> Result<(KeyBook, Auth), StartError> {
    let taken = config.keys.iter().map(|key| key.name.clone()).collect();
    let book = KeyBook::with_clock(store.clone(), taken, clock.clone());
    let auth = Auth::new(config, &store.keys().await?, started);
    auth.meters.restore(store.spending(auth.meters.since(started)).await?, started);
    let server = &config.server;
    if auth.is_open() && !server.listen.ip().is_loopback() && !server.allow_unauthenticated {
        store.close().await;
        return Err(StartError::Open { addr: server.listen });
    }
    if auth.is_fresh() {
        first_secret(&config.store.url, &auth);
    }
    Ok((book, auth))
}

/// Makes what the first key is made with, and says where it is. Without it `slarouter keys create` works while no gateway runs.
fn first_secret(url: &str, auth: &Auth) {
    match FirstSecret::make(url) {
        Ok(secret) => {
            let path = secret.path().display();
            tracing::info!(%path, "there is no key yet: `slarouter keys create` makes the first one with the secret in this file");
            auth.begin_with(secret);
        }
        Err(error) => tracing::warn!(%error, "no secret for the first key: make it while the gateway does not run"),
    }
}

/// Writes the routes to the log and learns all that it holds.
async fn learn(
    config: &Config,
    store: &dyn Store,
    features: &FeaturesId,
    clock: &Clock,
    progress: &watch::Sender<Progress>,
) -> Result<(Learning, LoggedRoutes), StartError> {
    let started = clock.now();
    let mut learning = Learning::load(store).await?;
    let mut logged = Vec::new();
    for (name, route) in &config.routes {
        let logged_route = reprice::logged_route(config, route, features, started)?;
        store.configure(started, name, &logged_route.json()?).await?;
        logged.push((name.clone(), logged_route));
    }
    let replayed = replay(&mut learning, store, || clock.now(), progress).await?;
    tracing::info!(seq = learning.seq(), replayed, "learner is up to date");
    Ok((learning, LoggedRoutes::new(logged)))
}
