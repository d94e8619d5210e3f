//! Entries as rows.

use rusqlite::{CachedStatement, Connection, params};

use super::keys::spend;
use super::read::blob;
use crate::{DecisionRecord, Entry, OutcomeRecord};

// An id that is there already must not fail the batch for ever.
const DECISION: &str = "INSERT INTO decisions (seq, id, time, route, reason, model, propensity, decision, features, \
     feature_version, input_tokens, state_seq, prompt, audit_rate, audit_drawn) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) DO NOTHING";

const OUTCOME: &str = "INSERT INTO outcomes (seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, \
     cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

const REROUTE: &str = "INSERT INTO reroutes (seq, decision_id, model) VALUES (?1, ?2, ?3)";

/// Statements that are ready, and room for what is written out for them.
struct Inserts<'a> {
    decision: CachedStatement<'a>,
    outcome: CachedStatement<'a>,
    json: Vec<u8>,
    features: Vec<u8>,
}

/// Inserts entries in order, numbering them from `seq` on.
pub(super) fn insert(connection: &Connection, entries: &[Entry], seq: &mut u64) -> Result<(), rusqlite::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let spent = entries.iter().filter_map(|entry| if let Entry::Spend(spent) = entry { Some(spent) } else { None });
    spend(connection, spent)?;
    let mut inserts = Inserts {
        decision: connection.prepare_cached(DECISION)?,
        outcome: connection.prepare_cached(OUTCOME)?,
        json: Vec::new(),
        features: Vec::new(),
    };
    for entry in entries {
        if matches!(entry, Entry::Spend(_)) {
            continue;
        }
        *seq += 1;
        let number = *seq as i64;
        match entry {
            Entry::Decision(record) => inserts.decision(number, record)?,
            Entry::Outcome(record) => inserts.outcome(number, record)?,
            Entry::Reroute { decision, model } => {
                connection.prepare_cached(REROUTE)?.execute(params![number, blob(*decision), model])?;
            }
            Entry::Spend(_) => {}
        }
    }
    Ok(())
}

impl Inserts<'_> {
    fn decision(&mut self, seq: i64, record: &DecisionRecord) -> Result<(), rusqlite::Error> {
        let unwritten =
            |error: &dyn std::error::Error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into());
        self.json.clear();
        serde_json::to_writer(&mut self.json, &record.decision).map_err(|error| unwritten(&error))?;
        let json = std::str::from_utf8(&self.json).map_err(|error| unwritten(&error))?;
        self.features.clear();
        self.features.extend(record.features.iter().flat_map(|x| x.to_le_bytes()));
        self.decision.execute(params![
            seq,
            blob(record.id),
            record.time.0 as i64,
            record.route,
            record.decision.reason.as_str(),
            record.decision.choice().model,
            record.decision.propensity(),
            json,
            self.features,
            record.feature_version,
            record.input_tokens,
            record.state_seq as i64,
            record.prompt,
            record.audit.rate,
            record.audit.drawn,
        ])?;
        Ok(())
    }

    fn outcome(&mut self, seq: i64, record: &OutcomeRecord) -> Result<(), rusqlite::Error> {
        self.outcome.execute(params![
            seq,
            blob(record.decision),
            record.time.0 as i64,
            record.model,
            record.status,
            record.ok,
            record.streamed,
            record.attempts,
            record.input_tokens,
            record.cached_tokens,
            record.cache_write_tokens,
            record.output_tokens,
            record.reasoning_tokens,
            record.cost,
            record.latency_ms,
            record.ttft_ms,
            record.error,
        ])?;
        Ok(())
    }
}
