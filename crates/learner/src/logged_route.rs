//! What the log holds of a route's configuration.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slarouter_core::RouteSpec;

use crate::warm::{FeaturesId, WarmStart, WarmStartError};

/// A route's configuration as the log holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedRoute {
    /// What the core needs.
    #[serde(flatten)]
    pub spec: RouteSpec,
    /// Where its features come from.
    pub features: FeaturesId,
    /// What it begins with, if nothing has been learnt of it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStart>,
    /// Models whose price stands for one that nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<Arc<str>>,
}

/// Why a route cannot be written to the log.
#[derive(Debug, thiserror::Error)]
pub enum LogRouteError {
    /// The file that it is to begin with.
    #[error(transparent)]
    WarmStart(#[from] WarmStartError),
    /// It cannot be written down.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl LoggedRoute {
    /// As the log holds it.
    ///
    /// # Errors
    /// Never for the policies of this release.
    pub fn json(&self) -> Result<String, LogRouteError> {
        Ok(serde_json::to_string(self)?)
    }
}

#[cfg(test)]
mod tests {
    use slarouter_core::{Alpha, ModelSpec, PolicySpec, Price, Zoo};

    use super::*;

    #[test]
    fn a_logged_route_reads_back() {
        let zoo = Zoo::new(vec![ModelSpec::new("m", Price { input: 0.1, output: 1e6 })]).unwrap();
        let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        let features = FeaturesId { encoder: "bert".to_owned(), version: u32::MAX, dim: 96 };
        let logged = LoggedRoute { spec: spec.clone(), features, warm_start: None, unpriced: vec!["m".into()] };
        let text = logged.json().unwrap();
        assert_eq!(serde_json::from_str::<LoggedRoute>(&text).unwrap(), logged);
        assert_eq!(serde_json::from_str::<RouteSpec>(&text).unwrap(), spec);
    }
}
