//! What all handlers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_config::Config;
use slarouter_core::{DecisionId, Timestamp};
use slarouter_learner::{LastHour, Snapshot};
use slarouter_store::{Calendar, Store, StoreError, StoredDecision, TraceQuery};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::auth::Auth;
use crate::admission::keys::{KeyBook, KeyError};
use crate::admission::limits::Raters;
use crate::admission::logins::Logins;
use crate::admission::room::Room;
use crate::admission::token::Signer;
use crate::alerts::Alerts;
use crate::aside::Aside;
use crate::clock::Clock;
use crate::features::Features;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::prompts::PromptKeys;
use crate::reloads::Reloads;
use crate::sessions::Sessions;
use crate::telemetry::Telemetry;
use crate::upstream::Health;
use crate::upstream::Upstream;

/// Events by which the learner may be behind the log.
const LAG: u64 = 10_000;

/// What answers requests under one configuration. A reload makes another one, which takes over what outlives configurations; a
/// request keeps the one that it began with.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) auth: Arc<Auth>,
    /// Who has logged in to the dashboard.
    pub(crate) logins: Arc<Logins>,
    /// The configuration whose keys are in force; held while keys are read and taken into force.
    pub(crate) keyed: Arc<Mutex<Arc<Config>>>,
    pub(crate) book: KeyBook,
    /// Signs and checks feedback tokens; `None` where there are none.
    pub(crate) signer: Option<Signer>,
    /// With which messages are sealed that are kept.
    pub(crate) prompts: Arc<PromptKeys>,
    /// Whether the address with the admin API is one that only this machine reaches.
    pub(crate) loopback: bool,
    pub(crate) clock: Arc<Clock>,
    pub(crate) started: Timestamp,
    pub(crate) store: Arc<dyn Store>,
    /// The log as requests write to it.
    pub(crate) journal: Arc<Journal>,
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) telemetry: Option<Arc<Telemetry>>,
    pub(crate) features: Arc<Features>,
    /// For the bodies of requests.
    pub(crate) room: Arc<Room>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Health,
    /// What is wrong, and who is told.
    pub(crate) alerts: Arc<Alerts>,
    /// Who has rated lately.
    pub(crate) raters: Arc<Raters>,
    /// Which model each conversation is with.
    pub(crate) sessions: Arc<Sessions>,
    /// The learner cannot read the log, or has stopped.
    pub(crate) stuck: Arc<AtomicBool>,
    /// When the learner last knew all that was in the log.
    pub(crate) current: Arc<std::sync::Mutex<Instant>>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) reloads: Reloads,
    /// Held while a decision is made again from the log.
    pub(crate) replaying: Arc<Mutex<()>>,
    /// What is done beside the requests.
    pub(crate) aside: Arc<Aside>,
    /// What the metrics tell of the last hour.
    pub(crate) last_hour: Arc<LastHour>,
    /// The figures of the dashboard and when they were made last.
    pub(crate) figures: Arc<std::sync::Mutex<Option<Figures>>>,
}

/// When they were made, and their JSON.
pub(crate) type Figures = (Instant, Arc<str>);

impl App {
    /// Whose days and months count, and whose time people are shown.
    pub(crate) fn calendar(&self) -> Calendar {
        Calendar::new(self.config.server.time_zone.clone())
    }

    /// What is wrong with the learning, for requests to say that they were decided all the same.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        let stuck = self.stuck.load(Ordering::Relaxed).then_some("learner");
        self.store.is_failing().then_some("store").or(stuck)
    }

    /// Whether what `snapshot` says of the SLAs may be out of date: the learning is in trouble, or far behind the log.
    pub(crate) fn is_stale(&self, snapshot: &Snapshot) -> bool {
        self.trouble().is_some() || self.store.committed().borrow().saturating_sub(snapshot.seq) > LAG
    }

    /// For how long what is decided from has not been known to be all that is in the log.
    pub(crate) fn state_age(&self) -> Duration {
        let now = Instant::now();
        // Looked at first: what is committed later is as new.
        let heard = now.checked_sub(self.store.unheard()).unwrap_or(now);
        let is_all = self.published.load().seq >= *self.store.committed().borrow();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if is_all {
            *current = heard.max(*current);
        }
        now.saturating_duration_since(*current)
    }

    /// Whether others may share the log with this gateway.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.store.role().has_changed().is_ok()
    }

    /// A decision of the log. One that was made a moment ago may not be on disk yet: it is waited for. One whose row cannot be read is
    /// there for nobody.
    pub(crate) async fn find(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
        let found = match self.store.decision(id).await {
            Ok(None) => {
                self.store.flush().await?;
                self.store.decision(id).await
            }
            found => found,
        };
        if matches!(found, Err(StoreError::Row { .. })) { Ok(None) } else { found }
    }

    /// A decision by an id of the application's own. One that was made a moment ago is waited for, as it may be the last with that id.
    pub(crate) async fn traced(&self, query: TraceQuery) -> Result<Option<DecisionId>, StoreError> {
        self.store.flush().await?;
        self.store.traced(query).await
    }

    /// Takes changed keys into force.
    pub(crate) async fn reload_keys(&self) -> Result<(), KeyError> {
        let keyed = self.keyed.lock().await;
        let stored = self.book.records().await?;
        self.auth.reload(&keyed, &stored, self.clock.now());
        Ok(())
    }
}
