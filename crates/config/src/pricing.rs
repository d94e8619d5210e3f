//! A route's models at the prices of a time.

use std::sync::Arc;

use slarouter_core::{ModelSpec, RouteSpec, Timestamp, Zoo};

use crate::settings::{Config, Route};

impl Config {
    /// When the price of any model changes next.
    #[must_use]
    pub fn next_price_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.models.iter().filter_map(|model| model.prices.next_change(after)).min()
    }

    /// The route with the prices in force.
    #[must_use]
    pub fn spec_at(&self, route: &Route, time: Timestamp) -> RouteSpec {
        let priced = |spec: &ModelSpec| {
            let model = self.models.iter().find(|model| model.name == spec.name);
            ModelSpec { price: model.map_or(spec.price, |model| model.prices.at(time).list()), ..spec.clone() }
        };
        let held = &route.spec;
        // All prices have been checked, so that the zoo is as sound as it was.
        let zoo = Zoo::new(held.zoo.models().iter().map(priced).collect()).unwrap_or_else(|_| held.zoo.clone());
        RouteSpec { zoo, ..held.clone() }
    }

    /// Models of the route whose price nobody knows.
    #[must_use]
    pub fn unpriced(&self, route: &Route) -> Vec<Arc<str>> {
        let unknown = self.models.iter().filter(|model| !model.prices.is_known());
        unknown.map(|model| model.name.clone()).filter(|name| route.spec.zoo.position(name).is_some()).collect()
    }
}
