//! What is known of a person, and how it goes.

use slarouter_core::{Rater, Timestamp};
use tokio_postgres::Client;

use super::params::{many, ms, one};
use super::readers::View;
use super::row::cells;
use crate::{Forgotten, StoreError};

/// Words that are looked at in one go, so that what is logged meanwhile hardly waits.
const ROWS: i64 = 128;

const FOUND: &str = "SELECT count(*), count(f.comment), \
     (SELECT count(*) FROM decisions d WHERE d.prompt IS NOT NULL AND d.id IN \
     (SELECT g.decision_id FROM feedback g WHERE g.rater = $1 AND g.rater <> 0 AND g.time <= $2)) \
     FROM feedback f WHERE f.rater = $1 AND f.rater <> 0 AND f.time <= $2";

const WORDS: &str =
    "SELECT seq FROM feedback WHERE rater = $1 AND rater <> 0 AND time <= $2 AND seq > $3 ORDER BY seq LIMIT $4";

const GONE: [&str; 4] = [
    "UPDATE decisions SET prompt = NULL WHERE prompt IS NOT NULL \
     AND id IN (SELECT decision_id FROM feedback WHERE seq = ANY ($1))",
    // What an upstream says of a question may quote it.
    "UPDATE outcomes SET error = NULL WHERE error IS NOT NULL \
     AND decision_id IN (SELECT decision_id FROM feedback WHERE seq = ANY ($1))",
    "UPDATE archive SET error = NULL WHERE error IS NOT NULL \
     AND id IN (SELECT decision_id FROM feedback WHERE seq = ANY ($1))",
    "UPDATE feedback SET comment = NULL WHERE seq = ANY ($1) AND comment IS NOT NULL",
];

/// The number of the first word stands for the person from then on: it says nothing of the name.
const NOTE: &str = "INSERT INTO forgotten (rater, time, stand_in) VALUES ($1, $2, $3) \
     ON CONFLICT (rater) DO UPDATE SET time = greatest(forgotten.time, excluded.time)";

/// Asks whoever holds the log to forget this rater up to that time.
pub(super) async fn note(view: &View, rater: Rater, until: Timestamp) -> Result<(), StoreError> {
    let query = "INSERT INTO to_forget (rater, until) VALUES ($1, $2) \
         ON CONFLICT (rater) DO UPDATE SET until = greatest(to_forget.until, excluded.until)";
    view.rows(query, &[one(&rater.0.cast_signed()), one(&ms(until))]).await?;
    Ok(())
}

/// Whom somebody was asked to forget who does not hold the log.
pub(super) async fn noted(view: &View) -> Result<Vec<(Rater, Timestamp)>, StoreError> {
    let rows = view.rows("SELECT rater, until FROM to_forget ORDER BY rater", &[]).await?;
    let noted = rows.iter().map(|row| {
        let mut row = cells(row);
        Ok((Rater(row.next::<i64>()?.cast_unsigned()), Timestamp(row.next::<i64>()?.cast_unsigned())))
    });
    noted.collect()
}

/// That is done.
pub(super) async fn done(view: &View, rater: Rater, until: Timestamp) -> Result<(), StoreError> {
    let query = "DELETE FROM to_forget WHERE rater = $1 AND until <= $2";
    view.rows(query, &[one(&rater.0.cast_signed()), one(&ms(until))]).await?;
    Ok(())
}

/// What there is of this rater up to that time. Nothing is changed.
pub(super) async fn found(view: &View, rater: Rater, until: Timestamp) -> Result<Forgotten, StoreError> {
    let (rater, until) = (rater.0.cast_signed(), ms(until));
    let row = view.row(FOUND, &[one(&rater), one(&until)]).await?;
    let mut row = cells(&row);
    let mut count = || row.next::<i64>().map(i64::cast_unsigned);
    let (feedback, comments, prompts) = (count()?, count()?, count()?);
    Ok(Forgotten { feedback, comments, prompts, waiting: feedback, is_noted: false })
}

/// Deletes words and prompts of the next decisions that this rater rated, after the word `after`, and notes that the rater's number is to go
/// ([`super::shorten`]). The last word that was looked at; `None` once there is no more.
pub(super) async fn forget(
    client: &Client,
    rater: Rater,
    until: Timestamp,
    after: u64,
) -> Result<Option<u64>, StoreError> {
    let (rater, until, after) = (rater.0.cast_signed(), ms(until), after.cast_signed());
    let words = client.query_typed(WORDS, &[one(&rater), one(&until), one(&after), one(&ROWS)]).await?;
    let words: Vec<i64> = words.iter().map(|row| cells(row).next()).collect::<Result<_, _>>()?;
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Ok(None) };
    for statement in GONE {
        client.execute_typed(statement, &[many(&words)]).await?;
    }
    client.execute_typed(NOTE, &[one(&rater), one(&until), one(first)]).await?;
    Ok(Some(last.cast_unsigned()))
}
