//! What the learner publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::{Agreement, Recent, Router, Status, Thrift};

use crate::unreadable::Unreadable;

/// What decisions are made from: immutable, one atomic load away.
#[derive(Default)]
pub struct Snapshot {
    /// The number of the last event that has gone in.
    pub seq: u64,
    /// What each route decides with.
    pub routes: BTreeMap<Arc<str>, Router>,
    /// How the SLAs of the watched routes stand.
    pub standings: BTreeMap<Arc<str>, Status>,
    /// What the watched routes save.
    pub thrift: BTreeMap<Arc<str>, Thrift>,
    /// How each route has done of late.
    pub recent: BTreeMap<Arc<str>, Arc<Recent>>,
    /// Ratings beyond the limit of their rater, by route.
    pub set_aside: BTreeMap<Arc<str>, u64>,
    /// How often each route's judge and people say the same of an answer; of routes where both have.
    pub agreements: BTreeMap<Arc<str>, Agreement>,
    /// Rows of the log that could not be read.
    pub unreadable: Arc<Unreadable>,
}

impl Snapshot {
    /// How the SLA of a route stands: as it was published, or, where nobody has looked yet, as its certificate says. `None` for an
    /// unknown route and for a policy that gives no certificate.
    #[must_use]
    pub fn status(&self, route: &str) -> Option<Status> {
        self.standings.get(route).copied().or_else(|| self.routes.get(route)?.status(None))
    }
}
