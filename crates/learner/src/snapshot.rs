//! What the learner publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::Router;

use crate::unreadable::Unreadable;

/// What decisions are made from: immutable, one atomic load away.
#[derive(Default)]
pub struct Snapshot {
    /// The number of the last event that has gone in.
    pub seq: u64,
    /// What each route decides with.
    pub routes: BTreeMap<Arc<str>, Router>,
    /// Ratings beyond the limit of their rater, by route.
    pub set_aside: BTreeMap<Arc<str>, u64>,
    /// Rows of the log that could not be read.
    pub unreadable: Arc<Unreadable>,
}
