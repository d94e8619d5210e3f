//! The log in order, as the learner reads it.

use slarouter_core::Timestamp;
use tokio_postgres::Row;

use super::params::{Param, bound, one};
use super::readers::{Query, View};
use super::row::{cells, parsed};
use crate::parse::{KINDS, States, or_unreadable};
use crate::{Event, StoreError};

const CONFIGURED: &str = "SELECT seq, time, route, spec FROM route_configs WHERE seq > $1 ORDER BY seq LIMIT $2";

const ROLLED_BACK: &str = "SELECT seq, time, until FROM rollbacks WHERE seq > $1 ORDER BY seq LIMIT $2";

const DECIDED: &str = "SELECT seq, id, time, route, reason, zoo, candidates, decision FROM decisions WHERE seq > $1 ORDER BY seq LIMIT $2";

pub(super) const OUTCOME: &str = "SELECT seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, \
     cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error \
     FROM outcomes WHERE decision_id = $1 ORDER BY seq LIMIT 1";

const FINISHED: &str = "SELECT o.seq, o.decision_id, o.time, o.model, o.status, o.ok, o.streamed, o.attempts, o.input_tokens, \
     o.cached_tokens, o.cache_write_tokens, o.output_tokens, o.reasoning_tokens, o.cost, o.latency_ms, o.ttft_ms, o.error, \
     d.route, d.time, d.reason, NOT o.ok AND o.status <> 499 AND NOT EXISTS \
     (SELECT 1 FROM feedback f WHERE f.decision_id = o.decision_id AND f.seq < o.seq), \
     d.reason, d.zoo, d.candidates, d.decision, \
     CASE WHEN NOT o.ok THEN (SELECT r.model FROM reroutes r WHERE r.decision_id = o.decision_id ORDER BY r.seq LIMIT 1) END \
     FROM outcomes o JOIN decisions d ON d.id = o.decision_id WHERE o.seq > $1 ORDER BY o.seq LIMIT $2";

const REROUTED: &str = "SELECT r.seq, r.decision_id, r.model, d.route, d.time, d.reason, d.zoo, d.candidates, d.decision FROM reroutes r \
     JOIN decisions d ON d.id = r.decision_id WHERE r.seq > $1 \
     AND r.seq = (SELECT min(e.seq) FROM reroutes e WHERE e.decision_id = r.decision_id) \
     AND NOT EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = r.decision_id AND f.seq < r.seq) ORDER BY r.seq LIMIT $2";

// What an account was told before the first rating of a decision holds for all its ratings.
const RATED: &str = "SELECT f.seq, f.decision_id, f.time, f.rater, f.rating, f.receipt, f.source, d.time, d.route, \
     d.reason, d.zoo, d.candidates, d.decision, d.zoo, d.features, d.feature_version, coalesce((SELECT r.model \
     FROM reroutes r WHERE r.decision_id = f.decision_id AND r.seq < f.seq ORDER BY r.seq DESC LIMIT 1), d.model), \
     (SELECT r.model FROM reroutes r WHERE r.decision_id = f.decision_id AND r.seq < \
     (SELECT min(e.seq) FROM feedback e WHERE e.decision_id = f.decision_id) ORDER BY r.seq LIMIT 1), \
     EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = f.decision_id AND NOT o.ok AND o.status <> 499 AND o.seq < \
     (SELECT min(e.seq) FROM feedback e WHERE e.decision_id = f.decision_id)) \
     FROM feedback f JOIN decisions d ON d.id = f.decision_id WHERE f.seq > $1 ORDER BY f.seq LIMIT $2";

/// One for each of [`KINDS`].
const QUERIES: [&str; KINDS.len()] = [CONFIGURED, DECIDED, FINISHED, REROUTED, RATED, ROLLED_BACK];

/// Reads each kind of event after `seq` as of one commit, and merges them.
pub(super) async fn after(view: &View, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let (seq, most) = (bound(Timestamp(seq)), i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = view.ask_all(&queries(&[one(&seq), one(&most)])).await?;
    merged(view, rows, limit).await
}

/// What asks for each kind of event. The parameters are the event after which they come, and how many of each kind.
pub(super) fn queries<'a>(params: &'a [Param<'a>]) -> [Query<'a>; KINDS.len()] {
    QUERIES.map(|query| (query, params))
}

/// The first `limit` events of the rows of all kinds.
pub(super) async fn merged(view: &View, rows: Vec<Vec<Row>>, limit: usize) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for ((table, parse), rows) in KINDS.into_iter().zip(rows) {
        view.prepare(&rows).await?;
        for row in &rows {
            events.push(or_unreadable(table, parsed(row, view.zoos(), parse))?);
        }
    }
    events.sort_by_key(Event::seq);
    events.truncate(limit);
    for event in &mut events {
        if let Event::RolledBack { seq, states, .. } = event {
            *states = known_then(view, *seq).await?;
        }
    }
    Ok(events)
}

/// What was known at the event to which was rolled back.
async fn known_then(view: &View, seq: u64) -> Result<States, StoreError> {
    let query = "SELECT route, state FROM rollback_states WHERE seq = $1 ORDER BY place";
    let rows = view.rows(query, &[one(&seq.cast_signed())]).await?;
    let state = |row| {
        let mut row = cells(row);
        Ok((row.next()?, row.next()?))
    };
    rows.iter().map(state).collect()
}
