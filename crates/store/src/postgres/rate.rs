//! Words on decisions: many in one look, and one statement for what they add.

use std::borrow::Cow;
use std::collections::HashMap;

use slarouter_core::{DecisionId, Rater, Rating, Receipt, Source};
use tokio_postgres::Client;
use uuid::Uuid;

use super::params::{many, ms, text, uuid};
use super::row::cells;
use crate::command::MOST_WORDS;
use crate::{Entry, FeedbackRecord, StoreError};

/// Of each word in question: when its decision was made, whether it was drawn for audit and whether it is in the archive, what its rater has in
/// force of it, what he has said last, though it came too late, and how much there is on the decision.
const HELD: &str = "SELECT coalesce(d.time, a.time), coalesce(d.audit_drawn, k.audited), d.seq IS NULL, \
     (SELECT f.rating FROM feedback f WHERE f.decision_id = q.id AND f.rater = q.rater AND f.source = q.source \
      AND f.receipt <> 'expired' ORDER BY f.seq DESC LIMIT 1), \
     (SELECT f.rating FROM feedback f WHERE f.decision_id = q.id AND f.rater = q.rater AND f.source = q.source \
      ORDER BY f.seq DESC LIMIT 1), \
     (SELECT count(*) FROM (SELECT 1 FROM feedback f WHERE f.decision_id = q.id LIMIT $4) w) \
     FROM unnest($1, $2, $3) WITH ORDINALITY AS q (id, rater, source, place) LEFT JOIN decisions d ON d.id = q.id \
     LEFT JOIN archive a ON a.id = q.id LEFT JOIN archive_kinds k ON k.number = a.kind ORDER BY q.place";

const FEEDBACK: &str = "INSERT INTO feedback (seq, decision_id, time, rater, rating, receipt, comment, source) \
     SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)";

/// What is known of a rater's word on a decision.
#[derive(Clone, Copy, Default)]
struct Held {
    in_force: Option<Rating>,
    last: Option<Rating>,
}

/// A decision that is rated.
#[derive(Clone, Copy)]
struct Decided {
    time: i64,
    drawn: bool,
    /// Nothing is learnt from it any more, whatever the window is now.
    archived: bool,
}

/// What the words before this one have left.
pub(super) struct Standing {
    decisions: HashMap<DecisionId, Option<Decided>>,
    held: HashMap<(DecisionId, Rater, Source), Held>,
    words: HashMap<DecisionId, i64>,
}

/// The receipt of each word, or why its decision cannot be rated, in order. Words see those before them.
pub(super) async fn rate(
    client: &Client,
    given: &[(FeedbackRecord, u64)],
    seq: &mut u64,
) -> Result<Vec<Result<Receipt, StoreError>>, StoreError> {
    let mut standing = Standing::load(client, given).await?;
    let (mut receipts, mut new) = (Vec::new(), Vec::new());
    for (word, window_ms) in given {
        let receipt = standing.take(word, *window_ms);
        if let Ok(receipt @ (Receipt::Recorded | Receipt::Replaced | Receipt::Withdrawn | Receipt::Expired)) = receipt {
            *seq += 1;
            new.push((seq.cast_signed(), word, receipt));
        }
        receipts.push(receipt);
    }
    insert(client, &new).await?;
    Ok(receipts)
}

impl Standing {
    /// What is in the log of these words' decisions and raters.
    pub(super) async fn load(client: &Client, given: &[(FeedbackRecord, u64)]) -> Result<Self, StoreError> {
        let ids: Vec<Uuid> = given.iter().map(|(word, _)| uuid(word.decision)).collect();
        let raters: Vec<i64> = given.iter().map(|(word, _)| word.rater.0.cast_signed()).collect();
        let sources: Vec<&str> = given.iter().map(|(word, _)| word.source.as_str()).collect();
        let params = [many(&ids), many(&raters), many(&sources), super::params::one(&MOST_WORDS)];
        let rows = client.query_typed(HELD, &params).await?;
        let mut standing = Self { decisions: HashMap::new(), held: HashMap::new(), words: HashMap::new() };
        for (row, (word, _)) in rows.iter().zip(given) {
            let mut row = cells(row);
            let (time, drawn, archived): (Option<i64>, Option<bool>, bool) = (row.next()?, row.next()?, row.next()?);
            let mut rating =
                || Ok::<_, StoreError>(row.next::<Option<f64>>()?.and_then(|value| Rating::new(value).ok()));
            let held = Held { in_force: rating()?, last: rating()? };
            let decided = time.zip(drawn).map(|(time, drawn)| Decided { time, drawn, archived });
            standing.decisions.insert(word.decision, decided);
            standing.held.insert((word.decision, word.rater, word.source), held);
            standing.words.insert(word.decision, row.next()?);
        }
        Ok(standing)
    }

    /// Takes note of a decision that is not in the log yet.
    pub(super) fn decided(&mut self, entry: &Entry) {
        if let Entry::Decision(made) = entry {
            let decided = Decided { time: ms(made.time), drawn: made.audit.drawn, archived: false };
            self.decisions.entry(made.id).or_default().get_or_insert(decided);
        }
    }

    /// The receipt of a word, which later ones see.
    pub(super) fn take(&mut self, word: &FeedbackRecord, window_ms: u64) -> Result<Receipt, StoreError> {
        let decided = self.decisions.get(&word.decision).copied().flatten();
        let Decided { time, drawn, archived } = decided.ok_or(StoreError::UnknownDecision)?;
        if word.source == Source::Audit && !drawn {
            return Err(StoreError::NotDrawn);
        }
        let late = archived || word.time.0.saturating_sub(time.cast_unsigned()) > window_ms;
        let held = self.held.entry((word.decision, word.rater, word.source)).or_default();
        // Ratings that came too late are not in force, but saying one of them again is still nothing new.
        let mut receipt = Receipt::of(if late { held.last } else { held.in_force }, word.rating);
        if receipt == Receipt::Duplicate {
            return Ok(receipt);
        }
        let words = self.words.entry(word.decision).or_default();
        // A withdrawal passes, so that nobody is kept from taking back what was said.
        if word.rating.is_some() && *words >= MOST_WORDS {
            return Err(StoreError::Rated);
        }
        *words += 1;
        held.last = word.rating;
        if late {
            receipt = Receipt::Expired;
        } else {
            held.in_force = word.rating;
        }
        Ok(receipt)
    }
}

async fn insert(client: &Client, new: &[(i64, &FeedbackRecord, Receipt)]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = new.iter().map(|(seq, ..)| *seq).collect();
    let ids: Vec<Uuid> = new.iter().map(|(_, word, _)| uuid(word.decision)).collect();
    let times: Vec<i64> = new.iter().map(|(_, word, _)| ms(word.time)).collect();
    let raters: Vec<i64> = new.iter().map(|(_, word, _)| word.rater.0.cast_signed()).collect();
    let ratings: Vec<Option<f64>> = new.iter().map(|(_, word, _)| word.rating.map(Rating::get)).collect();
    let receipts: Vec<&str> = new.iter().map(|(.., receipt)| receipt.as_str()).collect();
    let comments: Vec<Option<Cow<'_, str>>> =
        new.iter().map(|(_, word, _)| word.comment.as_deref().map(text)).collect();
    let sources: Vec<&str> = new.iter().map(|(_, word, _)| word.source.as_str()).collect();
    let params = [
        many(&seqs),
        many(&ids),
        many(&times),
        many(&raters),
        many(&ratings),
        many(&receipts),
        many(&comments),
        many(&sources),
    ];
    client.execute_typed(FEEDBACK, &params).await?;
    Ok(())
}
