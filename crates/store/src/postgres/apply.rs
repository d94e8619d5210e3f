//! Commands as statements.

use std::borrow::Cow;
use std::sync::Arc;

use slarouter_core::{Receipt, Timestamp};
use tokio_postgres::Client;
use uuid::Uuid;

use super::forget::forget;
use super::insert::{ZooNumbers, insert};
use super::keys::change;
use super::params::{many, ms, one, text, uuid};
use super::rate::rate;
use super::rollups::{GroupNumbers, add};
use super::row::cells;
use super::shorten::{Step, shorten};
use super::stream::Waiting;
use super::terms;
use crate::command::{Answer, Command, KEPT_SNAPSHOTS};
use crate::{Entry, OutcomeRecord, StoreError};

const CONFIGURED: &str = "SELECT spec FROM route_configs WHERE route = $1 ORDER BY seq DESC LIMIT 1";

/// What ended in the archive stays as it is.
const REPORTED: &str = "SELECT EXISTS (SELECT 1 FROM outcomes WHERE decision_id = $1 AND attempts = 0) \
     OR EXISTS (SELECT 1 FROM archive WHERE id = $1)";

const SAVE: &str = "INSERT INTO snapshots (seq, epoch, place, time, route, state) \
     SELECT $1, $2, s.place, $3, s.route, s.state FROM unnest($4, $5) WITH ORDINALITY AS s (route, state, place) \
     ON CONFLICT (route, seq) DO UPDATE SET epoch = excluded.epoch, place = excluded.place, time = excluded.time, state = excluded.state";

/// A state is whole or gone: what routes share is saved under the name of the one that learnt last, which changes.
const FORGET: &str =
    "DELETE FROM snapshots WHERE seq NOT IN (SELECT DISTINCT k.seq FROM snapshots k ORDER BY k.seq DESC LIMIT $1)";

const ROLL_BACK: &str = "INSERT INTO rollbacks (seq, time, until) VALUES ($1, $2, $3)";

const ROLLED_BACK_TO: &str = "INSERT INTO rollback_states (seq, place, route, state) \
     SELECT $1, s.place, s.route, s.state FROM unnest($2, $3) WITH ORDINALITY AS s (route, state, place)";

/// The configurations that were put in force after an event, as they still are, appended anew.
const CONFIGURE_ANEW: &str = "INSERT INTO route_configs (seq, time, route, spec) \
     SELECT $1 + row_number() OVER (ORDER BY c.seq), $2, c.route, c.spec FROM route_configs c WHERE c.seq > $3 \
     AND c.seq = (SELECT max(n.seq) FROM route_configs n WHERE n.route = c.route) ORDER BY c.seq";

/// What a transaction works on.
pub(super) struct Work<'a> {
    pub(super) client: &'a Client,
    pub(super) epoch: i64,
    /// The last number given out.
    pub(super) seq: u64,
    /// The process whose entries are appended.
    pub(super) stream: i64,
    pub(super) zoos: &'a mut ZooNumbers,
    pub(super) groups: &'a mut GroupNumbers,
    /// Words whose decisions are still to come.
    pub(super) waiting: &'a mut Waiting,
    /// The process that appends.
    pub(super) boot: Uuid,
    /// Whether it was known not to be the only one, when that was asked last.
    pub(super) has_others: bool,
}

impl Work<'_> {
    /// Appends entries.
    pub(super) async fn insert(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        insert(self.client, entries, self.zoos, &mut self.seq, self.stream).await?;
        let words = self.waiting.come(self.client, entries).await?;
        if words.is_empty() {
            return Ok(());
        }
        for receipt in rate(self.client, &words, &mut self.seq).await? {
            if let Err(error) = receipt {
                tracing::warn!(%error, "a rating that waited for its decision is not counted");
            }
        }
        Ok(())
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
            Command::ChangeKeys { changes, as_of, reply } => {
                let changed = change(self.client, &changes, as_of).await;
                answers.push(match changed {
                    Ok(false) => Answer::failed(reply, StoreError::KeysChanged),
                    _ => Answer::Done(reply),
                });
                changed.map(drop)
            }
            Command::Save { learnt, time, states, reply } => {
                // Of what a database has lost nothing is to come back.
                let lacks = terms::lacks(self.client, self.seq, learnt).await;
                if matches!(lacks, Ok(true)) {
                    let why = StoreError::Unavailable("it does not hold what was learnt".to_owned());
                    answers.push(Answer::failed(reply, why));
                    return Ok(());
                }
                answers.push(Answer::Done(reply));
                lacks?;
                self.save(learnt.0, time, &states).await
            }
            Command::RollBack { to, time, states, reply } => {
                answers.push(Answer::Done(reply));
                self.roll_back(to, time, &states).await
            }
            Command::Shorten { retention, now, mut pass, reply } => {
                let zoos = &mut *self.zoos;
                let step = Step { client: self.client, zoos, retention: &retention, now, pass: &mut pass };
                let done = shorten(step).await;
                let (value, result) = split(done.map(|done| (done, pass)));
                answers.push(Answer::with(reply, value.unwrap_or_default()));
                result
            }
            Command::Forget { rater, until, after, reply } => {
                let (value, result) = split(forget(self.client, rater, until, after).await);
                answers.push(Answer::with(reply, value.flatten()));
                result
            }
            Command::RollUp { tally, reply } if tally.epoch != self.epoch => {
                let why = StoreError::Unavailable("it has changed hands since it was summed".to_owned());
                answers.push(Answer::failed(reply, why));
                Ok(())
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
        if known.try_get(0)? {
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
        self.client.execute_typed(FORGET, &[one(&KEPT_SNAPSHOTS)]).await?;
        Ok(())
    }

    /// An event that holds all that was known; after it the configurations that were put in force since then, as they still are.
    async fn roll_back(&mut self, to: u64, time: Timestamp, states: &[(Arc<str>, Vec<u8>)]) -> Result<(), StoreError> {
        self.seq += 1;
        let (seq, time, to) = (self.seq.cast_signed(), ms(time), to.cast_signed());
        self.client.execute_typed(ROLL_BACK, &[one(&seq), one(&time), one(&to)]).await?;
        let routes: Vec<Cow<'_, str>> = states.iter().map(|(route, _)| text(route)).collect();
        let states: Vec<&[u8]> = states.iter().map(|(_, state)| state.as_slice()).collect();
        self.client.execute_typed(ROLLED_BACK_TO, &[one(&seq), many(&routes), many(&states)]).await?;
        self.seq += self.client.execute_typed(CONFIGURE_ANEW, &[one(&seq), one(&time), one(&to)]).await?;
        Ok(())
    }
}

/// The value if there is one, and whether there is: an answer is told even if the statement failed.
fn split<T>(result: Result<T, StoreError>) -> (Option<T>, Result<(), StoreError>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    }
}
