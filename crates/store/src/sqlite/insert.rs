//! Many entries in few statements.

use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};

use super::keys::spend;
use super::read::blob;
use crate::{DecisionRecord, Entry, OutcomeRecord};

/// Rows in one INSERT: SQLite takes 32,766 values in one statement.
const ROWS: usize = 256;

/// Inserts entries in order, numbering them from `seq` on.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entries: &[Entry],
    seq: &mut u64,
) -> Result<(), sqlx::Error> {
    let (mut decisions, mut outcomes, mut reroutes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        if matches!(entry, Entry::Spend(_)) {
            continue;
        }
        *seq += 1;
        match entry {
            Entry::Decision(record) => decisions.push((*seq as i64, record)),
            Entry::Outcome(record) => outcomes.push((*seq as i64, record)),
            Entry::Reroute { decision, model } => reroutes.push((*seq as i64, *decision, &**model)),
            Entry::Spend(_) => {}
        }
    }
    let spent = entries.iter().filter_map(|entry| if let Entry::Spend(spent) = entry { Some(spent) } else { None });
    spend(connection, spent).await?;
    for rows in decisions.chunks(ROWS) {
        insert_decisions(connection, rows).await?;
    }
    for rows in outcomes.chunks(ROWS) {
        insert_outcomes(connection, rows).await?;
    }
    for rows in reroutes.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO reroutes (seq, decision_id, model) ");
        query.push_values(rows, |mut row, (seq, id, model)| {
            row.push_bind(*seq).push_bind(blob(*id)).push_bind(*model);
        });
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_decisions(
    connection: &mut SqliteConnection,
    rows: &[(i64, &DecisionRecord)],
) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO decisions (seq, id, time, route, reason, model, propensity, decision, features, feature_version, \
         input_tokens, state_seq, prompt, audit_rate, audit_drawn) ",
    );
    let json = |record: &DecisionRecord| {
        serde_json::to_string(&record.decision).map_err(|error| sqlx::Error::Encode(Box::new(error)))
    };
    let decisions: Vec<String> = rows.iter().map(|(_, record)| json(record)).collect::<Result<_, _>>()?;
    query.push_values(rows.iter().zip(decisions), |mut row, ((seq, record), decision)| {
        let features: Vec<u8> = record.features.iter().flat_map(|x| x.to_le_bytes()).collect();
        row.push_bind(*seq)
            .push_bind(blob(record.id))
            .push_bind(record.time.0 as i64)
            .push_bind(record.route.to_string())
            .push_bind(record.decision.reason.as_str())
            .push_bind(record.decision.choice().model.to_string())
            .push_bind(record.decision.propensity())
            .push_bind(decision)
            .push_bind(features)
            .push_bind(i64::from(record.feature_version))
            .push_bind(record.input_tokens)
            .push_bind(record.state_seq as i64)
            .push_bind(record.prompt.clone())
            .push_bind(record.audit.rate)
            .push_bind(record.audit.drawn);
    });
    // An id that is there already must not fail the batch for ever.
    query.push(" ON CONFLICT (id) DO NOTHING");
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}

async fn insert_outcomes(connection: &mut SqliteConnection, rows: &[(i64, &OutcomeRecord)]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO outcomes (seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, \
         cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error) ",
    );
    query.push_values(rows, |mut row, (seq, record)| {
        row.push_bind(*seq)
            .push_bind(blob(record.decision))
            .push_bind(record.time.0 as i64)
            .push_bind(record.model.to_string())
            .push_bind(i64::from(record.status))
            .push_bind(record.ok)
            .push_bind(record.streamed)
            .push_bind(i64::from(record.attempts))
            .push_bind(record.input_tokens)
            .push_bind(record.cached_tokens)
            .push_bind(record.cache_write_tokens)
            .push_bind(record.output_tokens)
            .push_bind(record.reasoning_tokens)
            .push_bind(record.cost)
            .push_bind(record.latency_ms)
            .push_bind(record.ttft_ms)
            .push_bind(record.error.clone());
    });
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}
