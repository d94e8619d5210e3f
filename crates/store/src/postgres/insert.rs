//! Entries as rows: one statement for all of a kind.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use slarouter_core::DecisionId;
use tokio_postgres::Client;
use uuid::Uuid;

use super::params::{many, ms, one, text, uuid};
use crate::packed::{pack_decision, pack_features};
use crate::{DecisionRecord, Entry, OutcomeRecord, Payer, Spending, StoreError};

// An id that is there already must not fail the batch for ever.
const DECISIONS: &str = "INSERT INTO decisions (seq, id, time, route, reason, model, propensity, features, feature_version, input_tokens, \
     state_seq, prompt, audit_rate, audit_drawn, zoo, candidates, satisfaction, cost, most_expensive) \
     SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
     ON CONFLICT (id) DO NOTHING";

/// Of a decision whose id was there already there is no row, and so no trace either.
const TRACES: &str = "INSERT INTO traces (seq, tenant, trace_id) \
     SELECT t.seq, t.tenant, t.trace_id FROM unnest($1, $2, $3) AS t (seq, tenant, trace_id) \
     WHERE EXISTS (SELECT 1 FROM decisions d WHERE d.seq = t.seq)";

const OUTCOMES: &str = "INSERT INTO outcomes (seq, decision_id, time, model, status, ok, streamed, attempts, input_tokens, cached_tokens, \
     cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms, ttft_ms, error) \
     SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

const REROUTES: &str = "INSERT INTO reroutes (seq, decision_id, model) SELECT * FROM unnest($1, $2, $3)";

const ZOO: &str = "INSERT INTO zoos (number, models, fallback, key, tenant) SELECT * FROM unnest($1, $2, $3, $4, $5)";

const SPENT: &str = "INSERT INTO spending (account, day, nano_usd) SELECT * FROM unnest($1, $2, $3) \
     ON CONFLICT (account, day) DO UPDATE SET nano_usd = spending.nano_usd + excluded.nano_usd";

/// The same for each process, so that it knows what is not of its own.
const SPENT_BY: &str = "INSERT INTO spent_by (stream, account, day, nano_usd) SELECT $1, s.* FROM unnest($2, $3, $4) AS s (account, day, nano_usd) \
     ON CONFLICT (stream, account, day) DO UPDATE SET nano_usd = spent_by.nano_usd + excluded.nano_usd";

/// What decisions have in common: the names of their models as JSON, the place of the fallback, and who pays.
pub(super) type Zoo = (String, i64, Arc<str>, Arc<str>);

/// The numbers of the zoos in the table and in the transaction. Only one process adds to them.
#[derive(Default)]
pub(super) struct ZooNumbers {
    known: HashMap<Zoo, i64>,
    last: i64,
}

impl ZooNumbers {
    pub(super) async fn load(client: &Client) -> Result<Self, StoreError> {
        let mut numbers = Self::default();
        for row in client.query_typed("SELECT number, models, fallback, key, tenant FROM zoos", &[]).await? {
            let mut row = super::row::cells(&row);
            let number = row.next()?;
            let zoo = (row.next()?, row.next()?, row.next()?, row.next()?);
            numbers.known.insert(zoo, number);
            numbers.last = numbers.last.max(number);
        }
        Ok(numbers)
    }

    /// The number of a decision's zoo, which goes to `new` if it has none yet.
    fn number(&mut self, record: &DecisionRecord, new: &mut Vec<(i64, Zoo)>) -> Result<i64, StoreError> {
        let DecisionRecord { decision, fallback, payer: Payer { key, tenant }, .. } = record;
        let names: Vec<&str> = decision.candidates.iter().map(|candidate| &*candidate.model).collect();
        let models = serde_json::to_string(&names).map_err(|_| StoreError::Entry)?;
        let place = fallback.map_or(-1, |place| place as i64);
        let zoo = (models, place, key.clone().unwrap_or_default(), tenant.clone().unwrap_or_default());
        Ok(self.number_of(zoo, new))
    }

    /// The number of a zoo, which goes to `new` if it has none yet.
    pub(super) fn number_of(&mut self, zoo: Zoo, new: &mut Vec<(i64, Zoo)>) -> i64 {
        if let Some(number) = self.known.get(&zoo) {
            return *number;
        }
        self.last += 1;
        new.push((self.last, zoo.clone()));
        self.known.insert(zoo, self.last);
        self.last
    }
}

/// Inserts entries of a stream in order, numbering them from `seq` on.
pub(super) async fn insert(
    client: &Client,
    entries: &[Entry],
    zoos: &mut ZooNumbers,
    seq: &mut u64,
    stream: i64,
) -> Result<(), StoreError> {
    let (mut decisions, mut outcomes, mut reroutes, mut spent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        if let Entry::Spend(spending) = entry {
            spent.push(spending);
            continue;
        }
        *seq += 1;
        let number = seq.cast_signed();
        match entry {
            Entry::Decision(record) => decisions.push((number, record)),
            Entry::Outcome(record) => outcomes.push((number, record)),
            Entry::Reroute { decision, model } => reroutes.push((number, *decision, model)),
            Entry::Spend(_) => {}
        }
    }
    insert_decisions(client, &decisions, zoos).await?;
    insert_outcomes(client, &outcomes).await?;
    insert_reroutes(client, &reroutes).await?;
    spend(client, &spent, stream).await
}

async fn insert_decisions(
    client: &Client,
    decisions: &[(i64, &DecisionRecord)],
    zoos: &mut ZooNumbers,
) -> Result<(), StoreError> {
    if decisions.is_empty() {
        return Ok(());
    }
    let mut new = Vec::new();
    let (mut numbers, mut packed) = (Vec::new(), Vec::new());
    for (_, record) in decisions {
        numbers.push(Some(zoos.number(record, &mut new)?));
        let (mut candidates, mut features) = (Vec::new(), Vec::new());
        pack_decision(&record.decision, &mut candidates).map_err(|_| StoreError::Entry)?;
        pack_features(&record.features, &mut features);
        packed.push((Some(candidates), features));
    }
    insert_zoos(client, &new).await?;
    let (candidates, features): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
    let column =
        |of: fn(&DecisionRecord) -> i64| -> Vec<i64> { decisions.iter().map(|(_, record)| of(record)).collect() };
    let number =
        |of: fn(&DecisionRecord) -> f64| -> Vec<f64> { decisions.iter().map(|(_, record)| of(record)).collect() };
    let known = |of: fn(&DecisionRecord) -> Option<f64>| -> Vec<Option<f64>> {
        decisions.iter().map(|(_, record)| of(record)).collect()
    };
    let seqs: Vec<i64> = decisions.iter().map(|(seq, _)| *seq).collect();
    let ids: Vec<Uuid> = decisions.iter().map(|(_, record)| uuid(record.id)).collect();
    let routes: Vec<Cow<'_, str>> = decisions.iter().map(|(_, record)| text(&record.route)).collect();
    let reasons: Vec<&str> = decisions.iter().map(|(_, record)| record.decision.reason.as_str()).collect();
    let models: Vec<Cow<'_, str>> = decisions.iter().map(|(_, record)| text(&record.decision.choice().model)).collect();
    let prompts: Vec<Option<Cow<'_, str>>> =
        decisions.iter().map(|(_, record)| record.prompt.as_deref().map(text)).collect();
    let drawn: Vec<bool> = decisions.iter().map(|(_, record)| record.audit.drawn).collect();
    client
        .execute_typed(
            DECISIONS,
            &[
                many(&seqs),
                many(&ids),
                many(&column(|record| ms(record.time))),
                many(&routes),
                many(&reasons),
                many(&models),
                many(&number(|record| record.decision.choice().probability)),
                many(&features),
                many(&column(|record| record.feature_version.into())),
                many(&number(|record| record.input_tokens)),
                many(&column(|record| record.state_seq.cast_signed())),
                many(&prompts),
                many(&number(|record| record.audit.rate)),
                many(&drawn),
                many(&numbers),
                many(&candidates),
                many(&known(|record| Some(record.decision.choice().satisfaction))),
                many(&known(|record| Some(record.decision.choice().cost))),
                many(&known(|record| record.decision.most_expensive_cost())),
            ],
        )
        .await?;
    insert_traces(client, decisions).await
}

pub(super) async fn insert_zoos(client: &Client, new: &[(i64, Zoo)]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = new.iter().map(|(number, _)| *number).collect();
    let models: Vec<Cow<'_, str>> = new.iter().map(|(_, zoo)| text(&zoo.0)).collect();
    let places: Vec<i64> = new.iter().map(|(_, zoo)| zoo.1).collect();
    let keys: Vec<Cow<'_, str>> = new.iter().map(|(_, zoo)| text(&zoo.2)).collect();
    let tenants: Vec<Cow<'_, str>> = new.iter().map(|(_, zoo)| text(&zoo.3)).collect();
    client.execute_typed(ZOO, &[many(&numbers), many(&models), many(&places), many(&keys), many(&tenants)]).await?;
    Ok(())
}

async fn insert_traces(client: &Client, decisions: &[(i64, &DecisionRecord)]) -> Result<(), StoreError> {
    let traced =
        decisions.iter().filter_map(|(seq, record)| Some((*seq, record.trace.as_ref()?, &record.payer.tenant)));
    let (mut seqs, mut tenants, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, trace, tenant) in traced {
        seqs.push(seq);
        tenants.push(text(tenant.as_deref().unwrap_or_default()));
        ids.push(trace.as_str());
    }
    if !seqs.is_empty() {
        client.execute_typed(TRACES, &[many(&seqs), many(&tenants), many(&ids)]).await?;
    }
    Ok(())
}

async fn insert_outcomes(client: &Client, outcomes: &[(i64, &OutcomeRecord)]) -> Result<(), StoreError> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let number =
        |of: fn(&OutcomeRecord) -> f64| -> Vec<f64> { outcomes.iter().map(|(_, record)| of(record)).collect() };
    let known = |of: fn(&OutcomeRecord) -> Option<f64>| -> Vec<Option<f64>> {
        outcomes.iter().map(|(_, record)| of(record)).collect()
    };
    let is = |of: fn(&OutcomeRecord) -> bool| -> Vec<bool> { outcomes.iter().map(|(_, record)| of(record)).collect() };
    let seqs: Vec<i64> = outcomes.iter().map(|(seq, _)| *seq).collect();
    let ids: Vec<Uuid> = outcomes.iter().map(|(_, record)| uuid(record.decision)).collect();
    let times: Vec<i64> = outcomes.iter().map(|(_, record)| ms(record.time)).collect();
    let models: Vec<Cow<'_, str>> = outcomes.iter().map(|(_, record)| text(&record.model)).collect();
    let statuses: Vec<i32> = outcomes.iter().map(|(_, record)| record.status.into()).collect();
    let attempts: Vec<i64> = outcomes.iter().map(|(_, record)| record.attempts.into()).collect();
    let errors: Vec<Option<Cow<'_, str>>> =
        outcomes.iter().map(|(_, record)| record.error.as_deref().map(text)).collect();
    client
        .execute_typed(
            OUTCOMES,
            &[
                many(&seqs),
                many(&ids),
                many(&times),
                many(&models),
                many(&statuses),
                many(&is(|record| record.ok)),
                many(&is(|record| record.streamed)),
                many(&attempts),
                many(&known(|record| record.input_tokens)),
                many(&known(|record| record.cached_tokens)),
                many(&known(|record| record.cache_write_tokens)),
                many(&known(|record| record.output_tokens)),
                many(&known(|record| record.reasoning_tokens)),
                many(&number(|record| record.cost)),
                many(&number(|record| record.latency_ms)),
                many(&known(|record| record.ttft_ms)),
                many(&errors),
            ],
        )
        .await?;
    Ok(())
}

async fn insert_reroutes(client: &Client, reroutes: &[(i64, DecisionId, &Arc<str>)]) -> Result<(), StoreError> {
    if reroutes.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = reroutes.iter().map(|(seq, ..)| *seq).collect();
    let ids: Vec<Uuid> = reroutes.iter().map(|(_, id, _)| uuid(*id)).collect();
    let models: Vec<Cow<'_, str>> = reroutes.iter().map(|(.., model)| text(model)).collect();
    client.execute_typed(REROUTES, &[many(&seqs), many(&ids), many(&models)]).await?;
    Ok(())
}

/// Adds to what has been spent, once for each account and day.
async fn spend(client: &Client, spent: &[&Spending], stream: i64) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(&str, u64), i64> = BTreeMap::new();
    for Spending { account, day, nano_usd } in spent {
        let sum = sums.entry((account, *day)).or_default();
        *sum = sum.saturating_add(*nano_usd);
    }
    sums.retain(|_, sum| *sum != 0);
    if sums.is_empty() {
        return Ok(());
    }
    let accounts: Vec<Cow<'_, str>> = sums.keys().map(|(account, _)| text(account)).collect();
    let days: Vec<i64> = sums.keys().map(|(_, day)| day.cast_signed()).collect();
    let amounts: Vec<i64> = sums.into_values().collect();
    client.execute_typed(SPENT, &[many(&accounts), many(&days), many(&amounts)]).await?;
    client.execute_typed(SPENT_BY, &[one(&stream), many(&accounts), many(&days), many(&amounts)]).await?;
    Ok(())
}
