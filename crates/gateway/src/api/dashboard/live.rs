//! `GET /admin/stream`: the figures of the pages as they change, made once for all who look.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Map, Value, json};
use slarouter_learner::Snapshot;
use slarouter_pages::Tile;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::overview::facts;
use super::standing::Standing;
use super::tiles::tiles;
use crate::app::App;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// After so many the stream ends, and the browser comes again: with another configuration, or without a key that was revoked meanwhile.
const TICKS: u32 = 60;

/// The figures, made anew if they are half a tick old.
fn now(app: &App) -> Arc<str> {
    let mut latest = app.figures.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((made, text)) = &*latest
        && made.elapsed() < TICK / 2
    {
        return text.clone();
    }
    let text: Arc<str> = figures(app, &app.published.load()).to_string().into();
    *latest = Some((Instant::now(), text.clone()));
    text
}

/// The figures of all routes, once and then whenever they have changed, as server-sent events: each event `routes` holds, by route, `state`
/// and the texts of `figures`. The stream ends after a minute; the browser asks again.
pub(super) async fn stream(State(app): State<Arc<App>>) -> Response {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = (app, ticks, None::<Arc<str>>, TICKS);
    let events = stream::unfold(begun, |(app, mut ticks, shown, mut left)| async move {
        loop {
            left = left.checked_sub(1)?;
            ticks.tick().await;
            // Who shuts down waits for no one who only looks.
            if app.draining.load(Ordering::Relaxed) {
                return None;
            }
            let text = now(&app);
            if shown.as_ref() != Some(&text) {
                let event = Event::default().event("routes").data(&text);
                return Some((Ok::<_, Infallible>(event), (app, ticks, Some(text), left)));
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn figures(app: &App, snapshot: &Snapshot) -> Value {
    let mut routes = Map::new();
    for name in app.config.routes.keys() {
        let Some(standing) = Standing::of(snapshot, name, app.clock.now()) else { continue };
        let badge = standing.badge();
        let state = json!({ "word": badge.word, "tone": badge.tone, "glyph": badge.glyph });
        routes.insert(name.to_string(), json!({ "state": state, "figures": texts(&standing) }));
    }
    routes.into()
}

/// Every text of this route that changes, by the names that pages have for it.
fn texts(standing: &Standing<'_>) -> BTreeMap<String, String> {
    let mut figures: BTreeMap<_, _> = facts(standing).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    figures.insert("sentence".to_owned(), standing.sentence());
    for Tile { name, value, note } in tiles(standing) {
        figures.insert(format!("{name}, the figure"), value);
        figures.insert(format!("{name}, its note"), note);
    }
    figures
}
