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
    /// Where its features come from. Logs from before there was a choice do not say.
    #[serde(default)]
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
    fn a_logged_route_reads_back_also_from_before_there_was_a_choice() {
        let spec = RouteSpec {
            alpha: Alpha::new(0.9).unwrap(),
            zoo: Zoo::new(vec![ModelSpec::new("m", Price { input: 0.1, output: 1e6 })]).unwrap(),
            policy: PolicySpec::parse("certified").unwrap(),
            feedback_window_ms: u64::MAX,
            audit_rate: 0.0,
            rater_limit: 0,
            rater_share: 0.0,
            alone: false,
            failures_count: false,
        };
        let old: LoggedRoute = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(
            old,
            LoggedRoute { spec: spec.clone(), features: FeaturesId::default(), warm_start: None, unpriced: vec![] }
        );
        let features = FeaturesId { encoder: "bert".to_owned(), version: u32::MAX, dim: 96 };
        let logged = LoggedRoute { spec: spec.clone(), features, warm_start: None, unpriced: vec!["m".into()] };
        let text = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<LoggedRoute>(&text).unwrap(), logged);
        assert_eq!(serde_json::from_str::<RouteSpec>(&text).unwrap(), spec, "earlier releases read it too");
    }
}
