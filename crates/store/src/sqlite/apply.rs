//! Commands as statements.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use slarouter_core::{Rating, Receipt, Source, Timestamp};

use super::archive;
use super::forget::forget;
use super::insert::insert;
use super::keys::change;
use super::rollups::add;
use super::row::blob;
use super::shorten::shorten;
use crate::command::{Answer, Command, KEPT_SNAPSHOTS, MOST_WORDS};
use crate::{Entry, FeedbackRecord, OutcomeRecord, StoreError};

/// Carries out a command that is no log entry. Its answer goes to `answers`, to be given after the commit.
pub(super) fn apply(
    connection: &Connection,
    command: Command,
    seq: &mut u64,
    answers: &mut Vec<Answer>,
) -> Result<(), rusqlite::Error> {
    match command {
        Command::Log(_) => Ok(()),
        Command::Flush { reply } => {
            answers.push(Answer::Done(reply));
            Ok(())
        }
        Command::Rate { feedback, window_ms, reply } => {
            let result = rate(connection, &feedback, window_ms, seq);
            let (receipt, result) = match result {
                Ok(answer) => (answer, Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Report { outcome, rerouted, reply } => {
            let result = report(connection, *outcome, rerouted, seq);
            let (receipt, result) = match result {
                Ok(receipt) => (Ok(receipt), Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Configure { time, route, spec, reply } => {
            answers.push(Answer::Done(reply));
            configure(connection, time, &route, &spec, seq)
        }
        Command::ChangeKeys { changes, as_of: _, reply } => {
            answers.push(Answer::Done(reply));
            change(connection, &changes)
        }
        Command::Save { learnt: (at, _), time, states, reply } => {
            answers.push(Answer::Done(reply));
            save(connection, at, time, &states)
        }
        Command::RollBack { to, time, states, reply } => {
            answers.push(Answer::Done(reply));
            roll_back(connection, to, time, &states, seq)
        }
        Command::RollUp { tally, reply } => {
            answers.push(Answer::Done(reply));
            add(connection, &tally)
        }
        Command::Shorten { retention, now, mut pass, reply } => {
            let done = shorten(connection, &retention, now, &mut pass);
            let (value, result) = split(done.map(|done| (done, pass)));
            answers.push(Answer::with(reply, value.unwrap_or_default()));
            result
        }
        Command::Forget { rater, until, after, reply } => {
            let (value, result) = split(forget(connection, rater, until, after));
            answers.push(Answer::with(reply, value.flatten()));
            result
        }
    }
}

/// The value if there is one, and whether there is: an answer is told even if the statement failed.
fn split<T>(result: Result<T, rusqlite::Error>) -> (Option<T>, Result<(), rusqlite::Error>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// The receipt, or why the decision cannot be rated.
fn rate(
    connection: &Connection,
    feedback: &FeedbackRecord,
    window_ms: u64,
    seq: &mut u64,
) -> Result<Result<Receipt, StoreError>, rusqlite::Error> {
    let id = blob(feedback.decision);
    let rater = feedback.rater.0.cast_signed();
    let decided: Option<(i64, bool)> = connection
        .prepare_cached("SELECT time, audit_drawn FROM decisions WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // Of one in the archive nothing is learnt any more, whatever the window is now.
    let (decided, archived) = match decided {
        Some(known) => (Some(known), false),
        None => (archive::known(connection, feedback.decision)?.map(|known| (known.time, known.drawn)), true),
    };
    let Some((decided, drawn)) = decided else { return Ok(Err(StoreError::UnknownDecision)) };
    if feedback.source == Source::Audit && !drawn {
        return Ok(Err(StoreError::NotDrawn));
    }
    let late = archived || feedback.time.0.saturating_sub(decided as u64) > window_ms;
    // Ratings that came too late are not in force, but saying one of them again is still nothing new.
    let held: Option<Option<f64>> = connection
        .prepare_cached(
            "SELECT rating FROM feedback WHERE decision_id = ?1 AND rater = ?2 AND (?3 OR receipt <> 'expired') \
             AND source = ?4 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![id, rater, late, feedback.source.as_str()], |row| row.get(0))
        .optional()?;
    let held = held.flatten().and_then(|value| Rating::new(value).ok());
    let mut receipt = Receipt::of(held, feedback.rating);
    if receipt == Receipt::Duplicate {
        return Ok(Ok(receipt));
    }
    if late {
        receipt = Receipt::Expired;
    }
    // A withdrawal passes, so that nobody is kept from taking back what was said.
    if feedback.rating.is_some() && said_enough(connection, &id)? {
        return Ok(Err(StoreError::Rated));
    }
    *seq += 1;
    let row = params![
        *seq as i64,
        id,
        feedback.time.0 as i64,
        rater,
        feedback.rating.map(Rating::get),
        receipt.as_str(),
        feedback.comment,
        feedback.source.as_str(),
    ];
    connection
        .prepare_cached(
            "INSERT INTO feedback (seq, decision_id, time, rater, rating, receipt, comment, source) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(row)?;
    Ok(Ok(receipt))
}

/// Whether there is no room for another word on a decision.
fn said_enough(connection: &Connection, id: &[u8; 16]) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT 1 FROM feedback WHERE decision_id = ?1 LIMIT 1 OFFSET ?2")?
        .exists(params![id, MOST_WORDS - 1])
}

/// Outcomes that were reported are those without attempts of the gateway's own.
fn report(
    connection: &Connection,
    outcome: OutcomeRecord,
    rerouted: bool,
    seq: &mut u64,
) -> Result<Receipt, rusqlite::Error> {
    let known = connection
        .prepare_cached("SELECT 1 FROM outcomes WHERE decision_id = ?1 AND attempts = 0 LIMIT 1")?
        .exists([blob(outcome.decision)])?;
    // What ended in the archive stays as it is.
    if known || archive::known(connection, outcome.decision)?.is_some() {
        return Ok(Receipt::Duplicate);
    }
    let reroute = Entry::Reroute { decision: outcome.decision, model: outcome.model.clone() };
    let outcome = Entry::Outcome(OutcomeRecord { attempts: 0, ..outcome });
    let entries = [reroute, outcome];
    insert(connection, if rerouted { &entries } else { &entries[1..] }, seq)?;
    Ok(Receipt::Recorded)
}

fn configure(
    connection: &Connection,
    time: Timestamp,
    route: &str,
    spec: &str,
    seq: &mut u64,
) -> Result<(), rusqlite::Error> {
    // One that cannot be read is another one.
    let is_held: Option<bool> = connection
        .query_row("SELECT spec FROM route_configs WHERE route = ?1 ORDER BY seq DESC LIMIT 1", [route], |row| {
            Ok(row.get_ref(0)?.as_str().is_ok_and(|held| held == spec))
        })
        .optional()?;
    if is_held == Some(true) {
        return Ok(());
    }
    *seq += 1;
    connection.execute(
        "INSERT INTO route_configs (seq, time, route, spec) VALUES (?1, ?2, ?3, ?4)",
        params![*seq as i64, time.0 as i64, route, spec],
    )?;
    Ok(())
}

fn save(
    connection: &Connection,
    seq: u64,
    time: Timestamp,
    states: &[(Arc<str>, Vec<u8>)],
) -> Result<(), rusqlite::Error> {
    for (route, state) in states {
        connection.execute(
            "INSERT OR REPLACE INTO snapshots (seq, route, time, state) VALUES (?1, ?2, ?3, ?4)",
            params![seq as i64, route, time.0 as i64, state],
        )?;
    }
    // A state is whole or gone: what routes share is saved under the name of the one that learnt last, which changes.
    connection.execute(
        "DELETE FROM snapshots WHERE seq NOT IN (SELECT DISTINCT seq FROM snapshots ORDER BY seq DESC LIMIT ?1)",
        [KEPT_SNAPSHOTS],
    )?;
    Ok(())
}

/// An event that holds all that was known; after it the configurations that were put in force since then, as they still are.
fn roll_back(
    connection: &Connection,
    to: u64,
    time: Timestamp,
    states: &[(Arc<str>, Vec<u8>)],
    seq: &mut u64,
) -> Result<(), rusqlite::Error> {
    *seq += 1;
    let number = seq.cast_signed();
    connection.execute(
        "INSERT INTO rollbacks (seq, time, until) VALUES (?1, ?2, ?3)",
        params![number, time.0 as i64, to as i64],
    )?;
    for (route, state) in states {
        connection.execute(
            "INSERT INTO rollback_states (seq, route, state) VALUES (?1, ?2, ?3)",
            params![number, route, state],
        )?;
    }
    let mut since = connection.prepare(
        "SELECT route, spec FROM route_configs c WHERE seq > ?1 AND seq = \
         (SELECT max(seq) FROM route_configs WHERE route = c.route) ORDER BY seq",
    )?;
    let since = since.query_map([to as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let since: Vec<(String, String)> = since.collect::<Result<_, _>>()?;
    for (route, spec) in since {
        *seq += 1;
        connection.execute(
            "INSERT INTO route_configs (seq, time, route, spec) VALUES (?1, ?2, ?3, ?4)",
            params![seq.cast_signed(), time.0 as i64, route, spec],
        )?;
    }
    Ok(())
}
