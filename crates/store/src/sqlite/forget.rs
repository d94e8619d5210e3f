//! What is known of a person, and how it goes.

use rusqlite::{Connection, params};
use slarouter_core::{Rater, Timestamp};

use crate::{Forgotten, StoreError};

/// Words that are looked at in one go, so that what is logged meanwhile hardly waits.
const ROWS: i64 = 128;

/// What there is of this rater up to that time. Nothing is changed.
pub(super) fn found(connection: &Connection, rater: Rater, until: Timestamp) -> Result<Forgotten, StoreError> {
    let query = "SELECT count(*), count(f.comment), \
         (SELECT count(*) FROM decisions d WHERE d.prompt IS NOT NULL AND d.id IN \
         (SELECT g.decision_id FROM feedback g WHERE g.rater = ?1 AND g.rater <> 0 AND g.time <= ?2)) \
         FROM feedback f WHERE f.rater = ?1 AND f.rater <> 0 AND f.time <= ?2";
    let values = params![rater.0.cast_signed(), until.0.cast_signed()];
    let found = connection.query_row(query, values, |row| {
        let count = |place| row.get::<_, i64>(place).map(i64::cast_unsigned);
        Ok(Forgotten {
            feedback: count(0)?,
            comments: count(1)?,
            prompts: count(2)?,
            waiting: count(0)?,
            is_noted: false,
        })
    })?;
    Ok(found)
}

/// Deletes words and prompts of the next decisions that this rater rated, after the word `after`, and notes that the rater's number is to go
/// ([`super::shorten`]). The last word that was looked at; `None` once there is no more.
pub(super) fn forget(
    connection: &Connection,
    rater: Rater,
    until: Timestamp,
    after: u64,
) -> Result<Option<u64>, rusqlite::Error> {
    let (rater, until) = (rater.0.cast_signed(), until.0.cast_signed());
    let mut words = connection.prepare_cached(
        "SELECT seq FROM feedback WHERE rater = ?1 AND rater <> 0 AND time <= ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
    )?;
    let words = words.query_map(params![rater, until, after as i64, ROWS], |row| row.get(0))?;
    let words: Vec<i64> = words.collect::<Result<_, _>>()?;
    let Some(last) = words.last() else { return Ok(None) };
    for seq in &words {
        for statement in [
            "UPDATE decisions SET prompt = NULL WHERE prompt IS NOT NULL \
             AND id = (SELECT decision_id FROM feedback WHERE seq = ?1)",
            // What an upstream says of a question may quote it.
            "UPDATE outcomes SET error = NULL WHERE error IS NOT NULL \
             AND decision_id = (SELECT decision_id FROM feedback WHERE seq = ?1)",
            "UPDATE archive SET error = NULL WHERE error IS NOT NULL \
             AND id = (SELECT decision_id FROM feedback WHERE seq = ?1)",
            "UPDATE feedback SET comment = NULL WHERE seq = ?1 AND comment IS NOT NULL",
        ] {
            connection.prepare_cached(statement)?.execute([seq])?;
        }
    }
    // The number of the first word stands for the person from then on: it says nothing of the name.
    connection
        .prepare_cached(
            "INSERT INTO forgotten (rater, time, stand_in) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET time = max(time, excluded.time)",
        )?
        .execute(params![rater, until, words[0]])?;
    Ok(Some(last.cast_unsigned()))
}
