//! Commands as statements.

use std::borrow::Cow;
use std::sync::Arc;

use slarouter_core::{Receipt, Timestamp};
use tokio_postgres::Client;

use super::insert::{ZooNumbers, insert};
use super::keys::change;
use super::params::{many, ms, one, text, uuid};
use super::rollups::{GroupNumbers, add};
use super::row::cells;
use crate::command::{Answer, Command, KEPT_SNAPSHOTS};
use crate::{Entry, OutcomeRecord, StoreError};

const CONFIGURED: &str = "SELECT spec FROM route_configs WHERE route = $1 ORDER BY seq DESC LIMIT 1";

const REPORTED: &str =
    "SELECT count(*) FROM (SELECT 1 FROM outcomes WHERE decision_id = $1 AND attempts = 0 LIMIT 1) o";

const SAVE: &str = "INSERT INTO snapshots (seq, epoch, place, time, route, state) \
     SELECT $1, $2, s.place, $3, s.route, s.state FROM unnest($4, $5) WITH ORDINALITY AS s (route, state, place) \
     ON CONFLICT (route, seq) DO UPDATE SET epoch = excluded.epoch, place = excluded.place, time = excluded.time, state = excluded.state";

const FORGET: &str = "DELETE FROM snapshots s WHERE s.route = ANY ($1) AND s.seq NOT IN \
     (SELECT k.seq FROM snapshots k WHERE k.route = s.route ORDER BY k.seq DESC LIMIT $2)";

/// What a transaction works on.
pub(super) struct Work<'a> {
    pub(super) client: &'a Client,
    pub(super) epoch: i64,
    /// The last number given out.
    pub(super) seq: u64,
    pub(super) zoos: &'a mut ZooNumbers,
    pub(super) groups: &'a mut GroupNumbers,
}

impl Work<'_> {
    /// Appends entries.
    pub(super) async fn insert(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        insert(self.client, entries, self.zoos, &mut self.seq).await
    }

    /// Carries out a command that is no log entry and no rating. Its answer goes to `answers`, to be given after the commit.
    pub(super) async fn apply(&mut self, command: Command, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        match command {
            Command::Log(_) | Command::Rate { .. } => Ok(()),
            Command::Flush { reply } => {
                answers.push(Answer::Done(reply));
                Ok(())
            }
            Command::Report { outcome, rerouted, reply } => {
                let result = self.report(*outcome, rerouted).await;
                let (receipt, result) = match result {
                    Ok(receipt) => (Ok(receipt), Ok(())),
                    Err(error) => (Err(StoreError::Closed), Err(error)),
                };
                answers.push(Answer::Receipt(reply, receipt));
                result
            }
            Command::Configure { time, route, spec, reply } => {
                answers.push(Answer::Done(reply));
                self.configure(time, &route, &spec).await
            }
            Command::ChangeKeys { changes, reply } => {
                answers.push(Answer::Done(reply));
                change(self.client, &changes).await
            }
            Command::Save { seq, time, states, reply } => {
                answers.push(Answer::Done(reply));
                self.save(seq, time, &states).await
            }
            Command::RollUp { tally, reply } => {
                answers.push(Answer::Done(reply));
                add(self.client, &tally, self.groups).await
            }
        }
    }

    /// Outcomes that were reported are those without attempts of the gateway's own.
    async fn report(&mut self, outcome: OutcomeRecord, rerouted: bool) -> Result<Receipt, StoreError> {
        let known = self.client.query_typed_one(REPORTED, &[one(&uuid(outcome.decision))]).await?;
        if known.try_get::<_, i64>(0)? > 0 {
            return Ok(Receipt::Duplicate);
        }
        let reroute = Entry::Reroute { decision: outcome.decision, model: outcome.model.clone() };
        let outcome = Entry::Outcome(OutcomeRecord { attempts: 0, ..outcome });
        let entries = [reroute, outcome];
        self.insert(if rerouted { &entries } else { &entries[1..] }).await?;
        Ok(Receipt::Recorded)
    }

    async fn configure(&mut self, time: Timestamp, route: &str, spec: &str) -> Result<(), StoreError> {
        let route = text(route);
        if let Some(held) = self.client.query_typed_opt(CONFIGURED, &[one(&route)]).await?
            && cells(&held).next::<String>()? == spec
        {
            return Ok(());
        }
        self.seq += 1;
        let (seq, time, spec) = (self.seq.cast_signed(), ms(time), text(spec));
        let insert = "INSERT INTO route_configs (seq, time, route, spec) VALUES ($1, $2, $3, $4)";
        self.client.execute_typed(insert, &[one(&seq), one(&time), one(&route), one(&spec)]).await?;
        Ok(())
    }

    async fn save(&mut self, seq: u64, time: Timestamp, states: &[(Arc<str>, Vec<u8>)]) -> Result<(), StoreError> {
        let (seq, time) = (seq.cast_signed(), ms(time));
        let routes: Vec<Cow<'_, str>> = states.iter().map(|(route, _)| text(route)).collect();
        let states: Vec<&[u8]> = states.iter().map(|(_, state)| state.as_slice()).collect();
        let params = [one(&seq), one(&self.epoch), one(&time), many(&routes), many(&states)];
        self.client.execute_typed(SAVE, &params).await?;
        self.client.execute_typed(FORGET, &[many(&routes), one(&KEPT_SNAPSHOTS)]).await?;
        Ok(())
    }
}
