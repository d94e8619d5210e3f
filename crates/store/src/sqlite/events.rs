//! The log in order, as the learner reads it.

use rusqlite::Connection;

use super::row::Zoos;
use crate::columns::Columns;
use crate::parse::{KINDS, States, or_unreadable};
use crate::{Event, StoreError};

const CONFIGURED: &str = "SELECT seq, time, route, spec FROM route_configs WHERE seq > ?1 ORDER BY seq";

const ROLLED_BACK: &str = "SELECT seq, time, until FROM rollbacks WHERE seq > ?1 ORDER BY seq";

const DECIDED: &str =
    "SELECT seq, id, time, route, reason, zoo, candidates, decision FROM decisions WHERE seq > ?1 ORDER BY seq";

pub(super) const OUTCOME: &str = "SELECT seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, \
     cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error \
     FROM outcomes WHERE decision_id = ?1 ORDER BY seq LIMIT 1";

const FINISHED: &str = "SELECT o.seq, o.decision_id, o.time, o.model, o.status, o.ok, o.streamed, o.attempts, o.input_tokens, \
     o.cached_tokens, o.cache_write_tokens, o.output_tokens, o.reasoning_tokens, o.cost, o.latency_ms, o.ttft_ms, o.error, \
     d.route, d.time, d.reason, NOT o.ok AND o.status <> 499 AND NOT EXISTS \
     (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq < o.seq), \
     d.reason, d.zoo, d.candidates, d.decision, \
     CASE WHEN NOT o.ok THEN (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq LIMIT 1) END \
     FROM outcomes o JOIN decisions d ON d.id = o.decision_id WHERE o.seq > ?1 ORDER BY o.seq";

const REROUTED: &str = "SELECT r.seq, r.decision_id, r.model, d.route, d.time, d.reason, d.zoo, d.candidates, d.decision FROM reroutes r \
     JOIN decisions d ON d.id = r.decision_id WHERE r.seq > ?1 \
     AND r.seq = (SELECT MIN(seq) FROM reroutes WHERE decision_id = d.id) \
     AND NOT EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq < r.seq) ORDER BY r.seq";

// What an account was told before the first rating of a decision holds for all its ratings.
const RATED: &str = "SELECT f.seq, f.decision_id, f.time, f.rater, f.rating, f.receipt, f.source, d.time, d.route, \
     d.reason, d.zoo, d.candidates, d.decision, d.zoo, d.features, d.feature_version, coalesce((SELECT r.model \
     FROM reroutes r WHERE r.decision_id = d.id AND r.seq < f.seq ORDER BY r.seq DESC LIMIT 1), d.model), \
     (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id AND r.seq < \
     (SELECT MIN(seq) FROM feedback WHERE decision_id = d.id) ORDER BY r.seq LIMIT 1), \
     EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND NOT o.ok AND o.status <> 499 AND o.seq < \
     (SELECT MIN(seq) FROM feedback WHERE decision_id = d.id)) \
     FROM feedback f JOIN decisions d ON d.id = f.decision_id WHERE f.seq > ?1 ORDER BY f.seq";

/// One for each of [`KINDS`].
const QUERIES: [&str; KINDS.len()] = [CONFIGURED, DECIDED, FINISHED, REROUTED, RATED, ROLLED_BACK];

/// Reads each kind of event after `seq` within one read transaction, so that all see the same commit, and merges them.
pub(super) fn after(connection: &mut Connection, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let view = connection.transaction()?;
    let zoos = Zoos::new(&view);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut events = Vec::new();
    for ((table, parse), query) in KINDS.into_iter().zip(QUERIES) {
        // As a parameter, SQLite would plan the query anew each time the limit is bound.
        let mut statement = view.prepare_cached(&format!("{query} LIMIT {most}"))?;
        let mut rows = statement.query([seq as i64])?;
        while let Some(row) = rows.next()? {
            events.push(or_unreadable(table, parse(&mut Columns::of(row, &zoos)?))?);
        }
    }
    events.sort_by_key(Event::seq);
    events.truncate(limit);
    for event in &mut events {
        if let Event::RolledBack { seq, states, .. } = event {
            *states = known_then(&view, *seq)?;
        }
    }
    Ok(events)
}

/// What was known at the event to which was rolled back.
fn known_then(connection: &Connection, seq: u64) -> Result<States, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT route, state FROM rollback_states WHERE seq = ?1 ORDER BY rowid")?;
    let states = statement.query_map([seq.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(states.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::tables::migrate;
    use super::*;

    /// By a plan that reads all ratings of an answer for each of them, a thousand would cost a million.
    #[test]
    fn what_came_before_a_rating_is_found_without_reading_the_others() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for query in [FINISHED, REROUTED, RATED] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let plan: Vec<String> =
                statement.query_map([0], |row| row.get("detail")).unwrap().map(Result::unwrap).collect();
            assert!(plan.iter().any(|step| step.contains("INDEX feedback_by_decision")), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("feedback_by_rater")), "{plan:?}");
        }
    }
}
