//! What changed of a route and when, so that it can be told from what changed by itself.

use serde::Serialize;
use slarouter_core::Timestamp;
use slarouter_learner::{LoggedRoute, changes};
use slarouter_store::Configured;
use tokio::time::Instant;

use crate::app::App;

/// Something that happened at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    pub(crate) time_ms: u64,
    /// `configuration`, `price` or `circuit`.
    pub(crate) kind: &'static str,
    /// In words.
    pub(crate) what: String,
}

/// Changes of a route's configuration and prices within a stretch of time, by the log, and of its models' circuits, since the process began;
/// oldest first. What cannot be read is left out.
pub(crate) async fn marks(app: &App, route: &str, (from, to): (Timestamp, Timestamp)) -> Vec<Mark> {
    let configured = app.store.configured(route, (from, to)).await.unwrap_or_default();
    let mut marks = of_configurations(&configured);
    let (now, clock) = (Instant::now(), app.clock.now());
    for model in app.config.routes.get(route).into_iter().flat_map(|route| route.spec.zoo.models()) {
        marks.extend(app.health.changes(&model.name).into_iter().map(|(at, is_open)| Mark {
            time_ms: clock.0.saturating_sub(now.duration_since(at).as_millis() as u64),
            kind: "circuit",
            what: format!("circuit of {} {}", model.name, if is_open { "open" } else { "closed again" }),
        }));
    }
    marks.retain(|mark| (from.0..to.0).contains(&mark.time_ms));
    marks.sort_by_key(|mark| mark.time_ms);
    marks
}

/// What each configuration says otherwise than the one before it.
fn of_configurations(configured: &[Configured]) -> Vec<Mark> {
    let read = |one: &Configured| serde_json::from_str::<LoggedRoute>(&one.spec).ok();
    let pairs = configured.windows(2).filter_map(|pair| Some((pair[1].time, read(&pair[0])?, read(&pair[1])?)));
    let mark = |(time, old, new): (Timestamp, LoggedRoute, LoggedRoute)| {
        let told = changes(&old.spec, &new.spec);
        let are_prices = told.iter().all(|change| change.starts_with("price of "));
        Mark { time_ms: time.0, kind: if are_prices { "price" } else { "configuration" }, what: told.join("; ") }
    };
    pairs.map(mark).collect()
}
