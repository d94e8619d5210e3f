//! What sums are of.

use std::sync::Arc;

use slarouter_core::Timestamp;

use super::{By, Calendar, Selection};

/// Whose sums they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    pub(crate) route: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

impl Group {
    /// Whether it is one of these requests, whenever they were.
    pub(crate) fn is_of(&self, Selection { route, model, key, tenant, .. }: &Selection) -> bool {
        [(route, &self.route), (model, &self.model), (key, &self.key), (tenant, &self.tenant)]
            .into_iter()
            .all(|(wanted, held)| wanted.as_ref().is_none_or(|wanted| wanted == held))
    }

    /// What its sums of that time are told apart by.
    pub(crate) fn name(&self, by: By, time: Timestamp, calendar: &Calendar) -> Arc<str> {
        match by {
            By::Route => self.route.clone(),
            By::Model => self.model.clone(),
            By::Key => self.key.clone(),
            By::Tenant => self.tenant.clone(),
            By::Day => calendar.date(time).into(),
            By::Month => calendar.date(time).rsplit_once('-').map_or("", |(month, _)| month).into(),
        }
    }
}
