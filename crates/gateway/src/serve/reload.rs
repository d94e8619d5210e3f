//! Another configuration in the place of the one in force, without a request noticing.
//!
//! One task makes all reloads, one after the other; whoever asked for one may go away. The file is read and checked wholly before
//! anything changes. Then the order is this:
//!
//! 1. The learner's snapshots go to the new configuration; requests go on with the old one and its last snapshot.
//! 2. The routes are written to the log, as at a start. From the first one written there is no way back, only on.
//! 3. The learner has read them: its snapshots fit the new configuration.
//! 4. Keys, then listeners take the new configuration. Requests keep the [`App`] that they began with to their end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_config::Config;
use slarouter_learner::{LogRouteError, LoggedRoute, Publisher, Snapshot};
use slarouter_store::{KeyRecord, StoreError};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::reprice::LoggedRoutes;
use super::server::Listener;
use super::{fixed, listener, reprice};
use crate::admission::auth::Auth;
use crate::admission::token::Signer;
use crate::app::App;
use crate::prompts::PromptKeys;
use crate::reloads::{Orders, ReloadError, ReloadResult, Reloaded};
use crate::tls;
use crate::upstream::{Checks, Upstream};

/// Pause before the log is tried again, once some of a configuration is in it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the learner may take over the new routes; after that requests are decided as well as may be, and say so.
const LEARNER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a reload exchanges.
pub(crate) struct Reloader {
    pub(crate) live: Arc<ArcSwap<App>>,
    /// Where the learner publishes.
    pub(crate) publisher: watch::Sender<Arc<Publisher>>,
    pub(crate) public: Arc<ArcSwap<Listener>>,
    pub(crate) operator: Option<Arc<ArcSwap<Listener>>>,
    /// The health checks of the configuration in force.
    pub(crate) checks: Checks,
    pub(crate) logged: Arc<LoggedRoutes>,
}

/// A configuration that was found to be sound.
struct Sound {
    config: Config,
    tls: Option<TlsAcceptor>,
    upstream: Upstream,
    /// The routes as the log will have them, each with its name and its text.
    routes: Vec<(Arc<str>, LoggedRoute, String)>,
}

impl Reloader {
    /// Reloads as ordered, until `stop` says so.
    pub(crate) async fn run(mut self, mut orders: Orders, mut stop: watch::Receiver<bool>) {
        loop {
            let reply = tokio::select! {
                _ = stop.changed() => return,
                order = orders.0.recv() => match order { Some(reply) => reply, None => return },
            };
            let done = tokio::select! {
                _ = stop.changed() => return,
                done = self.reload() => done,
            };
            let metrics = &self.live.load().metrics;
            metrics.reloaded(done.is_ok());
            match &done {
                Ok(Reloaded { models, routes, changed }) => {
                    let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join("; ") };
                    tracing::info!(models, routes, changed, "configuration reloaded");
                }
                Err(error) => tracing::error!(%error, "configuration not reloaded: the old one stays in force"),
            }
            // Whoever asked may have gone.
            let _ = reply.send(done);
        }
    }

    async fn reload(&mut self) -> ReloadResult {
        let old = self.live.load_full();
        let file = old.config.file.clone().ok_or(ReloadError::NoFile)?;
        let reading = {
            let old = old.clone();
            move || prepare(&old, &file)
        };
        // Files may lie on slow disks.
        let sound = tokio::task::spawn_blocking(reading).await.map_err(|_| ReloadError::Stopping)??;
        if let Some(trouble) = old.trouble() {
            return Err(ReloadError::Trouble(trouble));
        }
        let stored = old.store.keys().await?;
        let server = &sound.config.server;
        if Auth::opens(&sound.config, &stored) && !server.listen.ip().is_loopback() && !server.allow_unauthenticated {
            return Err(ReloadError::Open);
        }
        let logged_routes = self.logged.clone();
        let mut logged_routes = logged_routes.routes.lock().await;
        let published = Arc::new(ArcSwap::new(old.published.load_full()));
        let publisher = Publisher::new(published.clone(), sound.config.routes.keys().cloned().collect());
        let before = self.publisher.send_replace(publisher.clone());
        if let Err(error) = self.configure(&old, &sound.routes).await {
            self.publisher.send_replace(before);
            return Err(error.into());
        }
        *logged_routes = sound.routes.into_iter().map(|(name, route, _)| (name, route)).collect();
        let logged = *old.store.committed().borrow();
        if tokio::time::timeout(LEARNER_TIMEOUT, publisher.reached(logged)).await.is_err() {
            tracing::warn!(
                "the learner is late: requests are decided as well as may be until it has read the new routes"
            );
        }
        // Not before: a key that is revoked meanwhile must end at once, however long the log takes.
        let mut keyed = old.keyed.lock().await;
        let stored = stored_keys(&old).await;
        let app = Arc::new(next(&old, sound.config, sound.upstream, published));
        app.auth.reload(&app.config, &stored, app.clock.now());
        *keyed = app.config.clone();
        self.public.store(Arc::new(listener::public(&app, sound.tls.clone())));
        if let Some(operator) = &self.operator {
            operator.store(Arc::new(listener::operator(&app, sound.tls)));
        }
        app.metrics.configured(app.clock.now());
        let mut changed = old.config.changes(&app.config);
        // What is in them is not compared.
        changed.extend(app.config.server.tls.is_some().then(|| "the files of server.tls were read again".to_owned()));
        let reloaded = Reloaded { models: app.config.models.len(), routes: app.config.routes.len(), changed };
        reprice::tell(&app);
        self.checks = Checks::start(&app.config, &app.health, &app.upstream, &app.metrics);
        self.live.store(app);
        self.logged.changed.notify_one();
        Ok(reloaded)
    }

    /// Writes the routes to the log. Once one is there the others follow, however long the log takes: half a configuration is none.
    async fn configure(&self, old: &App, routes: &[(Arc<str>, LoggedRoute, String)]) -> Result<(), StoreError> {
        for (place, (route, _, spec)) in routes.iter().enumerate() {
            while let Err(error) = old.store.configure(old.clock.now(), route, spec).await {
                if place == 0 {
                    return Err(error);
                }
                tracing::error!(%error, %route, "a new configuration is partly in the log: trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

/// The keys as they stand, however long the log takes to say so: those of before may have been revoked.
async fn stored_keys(old: &App) -> Vec<KeyRecord> {
    loop {
        match old.store.keys().await {
            Ok(stored) => return stored,
            Err(error) => {
                tracing::error!(%error, "the keys cannot be read: trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Reads and checks everything that a reload needs, changing nothing.
fn prepare(old: &App, file: &Path) -> Result<Sound, ReloadError> {
    let config = Config::load(file)?;
    let fixed = fixed::changed(&old.config, &config);
    if !fixed.is_empty() {
        return Err(ReloadError::Restart(fixed));
    }
    let tls = config.server.tls.as_ref().map(tls::acceptor).transpose()?;
    let upstream = old.upstream.reconfigured(config.upstream.clone())?;
    let features = old.features.id();
    let said = |error: LogRouteError| ReloadError::Route(error.to_string());
    let mut routes = Vec::with_capacity(config.routes.len());
    for (route, settings) in &config.routes {
        let logged = reprice::logged_route(&config, settings, features, old.clock.now()).map_err(said)?;
        let json = logged.json().map_err(said)?;
        routes.push((route.clone(), logged, json));
    }
    Ok(Sound { config, tls, upstream, routes })
}

/// The app of another configuration. Every field is named, so that a new one has to say what becomes of it.
fn next(old: &App, config: Config, upstream: Upstream, published: Arc<ArcSwap<Snapshot>>) -> App {
    App {
        auth: old.auth.clone(),
        logins: old.logins.clone(),
        keyed: old.keyed.clone(),
        book: old.book.with_taken(config.keys.iter().map(|key| key.name.clone()).collect()),
        signer: Signer::of(&config.browser),
        prompts: Arc::new(PromptKeys::new(&config.store.prompt_keys)),
        loopback: old.loopback,
        clock: old.clock.clone(),
        started: old.started,
        store: old.store.clone(),
        published,
        journal: old.journal.clone(),
        upstream: Arc::new(upstream),
        telemetry: old.telemetry.clone(),
        features: old.features.clone(),
        room: old.room.clone(),
        metrics: old.metrics.clone(),
        health: old.health.reconfigured(&config.models, &config.upstream),
        alerts: old.alerts.clone(),
        raters: old.raters.clone(),
        sessions: old.sessions.clone(),
        stuck: old.stuck.clone(),
        current: old.current.clone(),
        draining: old.draining.clone(),
        reloads: old.reloads.clone(),
        replaying: old.replaying.clone(),
        figures: Arc::default(),
        aside: old.aside.clone(),
        last_hour: old.last_hour.clone(),
        config: Arc::new(config),
    }
}
