//! Entries as rows.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};

use super::keys::spend;
use super::row::blob;
use crate::packed::{pack_decision, pack_features};
use crate::{DecisionRecord, Entry, OutcomeRecord, Payer};

// An id that is there already must not fail the batch for ever.
const DECISION: &str = "INSERT INTO decisions (seq, id, time, route, reason, model, propensity, decision, features, \
     feature_version, input_tokens, state_seq, prompt, audit_rate, audit_drawn, zoo, candidates, satisfaction, cost, most_expensive) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '', ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
     ON CONFLICT (id) DO NOTHING";

const OUTCOME: &str = "INSERT INTO outcomes (seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, \
     cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

const REROUTE: &str = "INSERT INTO reroutes (seq, decision_id, model) VALUES (?1, ?2, ?3)";

const TRACE: &str = "INSERT INTO traces (seq, tenant, trace_id) VALUES (?1, ?2, ?3)";

/// Statements that are ready, and room for what is written out for them.
struct Inserts<'a> {
    connection: &'a Connection,
    decision: CachedStatement<'a>,
    outcome: CachedStatement<'a>,
    /// Numbers of the zoos that have been met, by the names of their models as JSON, the fallback, and who pays.
    zoos: HashMap<(String, Option<usize>, Payer), i64>,
    candidates: Vec<u8>,
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
        connection,
        decision: connection.prepare_cached(DECISION)?,
        outcome: connection.prepare_cached(OUTCOME)?,
        zoos: HashMap::new(),
        candidates: Vec::new(),
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
        let zoo = self.zoo(record)?;
        self.candidates.clear();
        pack_decision(&record.decision, &mut self.candidates).map_err(unwritten)?;
        self.features.clear();
        pack_features(&record.features, &mut self.features);
        let chosen = record.decision.choice();
        let inserted = self.decision.execute(params![
            seq,
            blob(record.id),
            record.time.0 as i64,
            record.route,
            record.decision.reason.as_str(),
            chosen.model,
            chosen.probability,
            self.features,
            record.feature_version,
            record.input_tokens,
            record.state_seq as i64,
            record.prompt,
            record.audit.rate,
            record.audit.drawn,
            zoo,
            self.candidates,
            chosen.satisfaction,
            chosen.cost,
            record.decision.most_expensive_cost(),
        ])?;
        // One whose id is there already is not in the log.
        if let Some(trace) = record.trace.as_ref().filter(|_| inserted == 1) {
            let tenant = record.payer.tenant.as_deref().unwrap_or_default();
            self.connection.prepare_cached(TRACE)?.execute(params![seq, tenant, trace.as_str()])?;
        }
        Ok(())
    }

    /// The number of what a decision has in common with many others.
    fn zoo(
        &mut self,
        DecisionRecord { decision, fallback, payer, .. }: &DecisionRecord,
    ) -> Result<i64, rusqlite::Error> {
        let names: Vec<&str> = decision.candidates.iter().map(|candidate| &*candidate.model).collect();
        let zoo = (serde_json::to_string(&names).map_err(unwritten)?, *fallback, payer.clone());
        if let Some(number) = self.zoos.get(&zoo) {
            return Ok(*number);
        }
        let name = |name: &Option<Arc<str>>| name.clone().unwrap_or_default();
        let place = fallback.map_or(-1, |place| place as i64);
        let row = params![zoo.0, place, name(&payer.key), name(&payer.tenant)];
        self.connection
            .prepare_cached(
                "INSERT INTO zoos (models, fallback, key, tenant) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute(row)?;
        let mut found = self.connection.prepare_cached(
            "SELECT number FROM zoos WHERE models = ?1 AND fallback = ?2 AND key = ?3 AND tenant = ?4",
        )?;
        let number = found.query_row(row, |row| row.get(0))?;
        self.zoos.insert(zoo, number);
        Ok(number)
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

fn unwritten(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
