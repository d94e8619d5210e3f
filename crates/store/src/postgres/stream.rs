//! What processes send to the one that holds the log, and what that one takes.

use std::collections::HashSet;

use slarouter_core::DecisionId;
use tokio_postgres::Client;
use uuid::Uuid;

use super::item::{DECISION, Item, REPORT, WORD};
use super::params::{many, one, uuid};
use super::readers::View;
use super::terms;
use crate::replica::{News, Stretch};
use crate::{Entry, FeedbackRecord, StoreError, StoredDecision};

const NEWS: &str = "SELECT s.stream, coalesce(t.n, 0), s.sent FROM streams s LEFT JOIN taken t ON t.stream = s.stream \
     WHERE s.sent > coalesce(t.n, 0) ORDER BY s.stream";

/// Whether another process may have sent something, or will: one that has not ended, and was there within the hour.
const OTHERS: &str =
    "SELECT EXISTS (SELECT 1 FROM streams WHERE boot <> $1 AND ended IS NULL AND seen > now() - interval '1 hour')";

const ROWS: &str = "SELECT n, body FROM inbox WHERE stream = $1 AND n > $2 AND n <= $3 ORDER BY n";

const TAKEN: &str = "INSERT INTO taken (stream, n) VALUES ($1, $2) ON CONFLICT (stream) DO UPDATE SET n = excluded.n";

const SEND: &str = "INSERT INTO inbox (stream, n, kind, decision_id, body) \
     SELECT $1, i.* FROM unnest($2, $3, $4, $5) AS i (n, kind, decision_id, body)";

const ABOUT: &str = "SELECT kind, body FROM inbox WHERE decision_id = ANY ($1) AND kind IN (1, 2) ORDER BY stream, n";

const REPORTED: &str = "SELECT EXISTS (SELECT 1 FROM outcomes WHERE decision_id = $1 AND attempts = 0) \
     OR EXISTS (SELECT 1 FROM archive WHERE id = $1) OR EXISTS (SELECT 1 FROM inbox WHERE decision_id = $1 AND kind = 3)";

const WAIT: &str = "INSERT INTO waiting (decision_id, until, body) SELECT * FROM unnest($1, $2, $3)";

const COME: &str = "DELETE FROM waiting WHERE decision_id = ANY ($1) RETURNING place, body";

/// Processes that were not heard of for long, and all of whose entries are in the log.
const GONE: &str = "WITH gone AS (DELETE FROM streams s WHERE s.seen < now() - interval '30 days' \
     AND s.sent <= coalesce((SELECT t.n FROM taken t WHERE t.stream = s.stream), 0) RETURNING s.stream) \
     DELETE FROM taken WHERE stream IN (SELECT stream FROM gone)";

/// What processes have spent that have ended, and are asked nothing any more.
const ENDED: &str = "DELETE FROM spent_by WHERE stream IN (SELECT stream FROM streams WHERE ended IS NOT NULL OR seen < now() - interval '7 days')";

const UNUSED: &str = "DELETE FROM limit_usage WHERE time < now() - interval '1 day'";

const OVER: &str = "DELETE FROM waiting WHERE until < extract(epoch FROM now()) * 1000";

/// Words that wait for their decisions: the decisions that some word waits for.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashSet<DecisionId>);

/// What is there to be taken.
pub(super) async fn news(client: &Client) -> Result<Vec<News>, StoreError> {
    let rows = client.query_typed(NEWS, &[]).await?;
    let news = rows.iter().map(|row| {
        Ok::<_, StoreError>(News { stream: row.try_get(0)?, taken: row.try_get(1)?, sent: row.try_get(2)? })
    });
    news.collect()
}

/// Whether this process is not the only one.
pub(super) async fn others(client: &Client, boot: Uuid) -> Result<bool, StoreError> {
    Ok(client.query_typed_one(OTHERS, &[one(&boot)]).await?.try_get(0)?)
}

/// The items of a stretch in order, taken out of the inbox; and how far they go, which is less where one of them is of a newer release: it waits for
/// a process of that.
pub(super) async fn take(client: &Client, stretch: &Stretch) -> Result<(Vec<Item>, i64), StoreError> {
    let Stretch { stream, after, to } = *stretch;
    let (mut items, mut reached) = (Vec::new(), after);
    for row in client.query_typed(ROWS, &[one(&stream), one(&after), one(&to)]).await? {
        let (n, body): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        if n != reached + 1 {
            let what = format!("entry {} of stream {stream} is missing in the inbox", reached + 1);
            return Err(StoreError::Tables(what));
        }
        let Ok(item) = Item::unpack(body) else {
            tracing::error!(
                stream,
                n,
                "what another gateway sent cannot be read: it waits for a gateway of a newer release to hold the log"
            );
            break;
        };
        items.push(item);
        reached = n;
    }
    if reached > after {
        client.execute_typed(TAKEN, &[one(&stream), one(&reached)]).await?;
        let delete = "DELETE FROM inbox WHERE stream = $1 AND n > $2 AND n <= $3";
        client.execute_typed(delete, &[one(&stream), one(&after), one(&reached)]).await?;
    }
    Ok((items, reached))
}

/// Sends items, numbered after `sent`. Returns the last number.
pub(super) async fn send(client: &Client, stream: i64, sent: i64, items: &[Item]) -> Result<i64, StoreError> {
    if items.is_empty() {
        return Ok(sent);
    }
    let last = sent + items.len() as i64;
    let numbers: Vec<i64> = (sent + 1..=last).collect();
    let (kinds, decisions): (Vec<i32>, Vec<Option<Uuid>>) =
        items.iter().map(Item::about).map(|(kind, about)| (kind, about.map(uuid))).unzip();
    let bodies = items.iter().map(Item::pack).collect::<Result<Vec<Vec<u8>>, _>>()?;
    let params = [one(&stream), many(&numbers), many(&kinds), many(&decisions), many(&bodies)];
    client.execute_typed(SEND, &params).await?;
    Ok(last)
}

/// What was sent about these decisions and is not in the log yet: the decisions themselves, and words on them, the first said first.
pub(super) async fn about(
    client: &Client,
    decisions: impl Iterator<Item = DecisionId>,
) -> Result<(Vec<Entry>, Vec<(FeedbackRecord, u64)>), StoreError> {
    let ids: Vec<Uuid> = decisions.map(uuid).collect();
    let (mut made, mut words) = (Vec::new(), Vec::new());
    for row in client.query_typed(ABOUT, &[many(&ids)]).await? {
        match Item::unpack(row.try_get(1)?) {
            Ok(Item::Log(entry)) => made.push(entry),
            Ok(Item::Rate { feedback, window_ms }) => words.push((feedback, window_ms)),
            // Of a newer release, and nothing that anything rests on.
            Ok(Item::Report { .. }) | Err(_) => {}
        }
    }
    words.sort_by_key(|(word, _)| word.time);
    Ok((made, words))
}

/// Whether the outcome of a decision was reported already.
pub(super) async fn is_reported(client: &Client, decision: DecisionId) -> Result<bool, StoreError> {
    Ok(client.query_typed_one(REPORTED, &[one(&uuid(decision))]).await?.try_get(0)?)
}

/// A decision that is on its way to the log. It has no number yet.
pub(super) async fn decision(view: &View, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let query = "SELECT body FROM inbox WHERE decision_id = $1 AND kind = $2 LIMIT 1";
    let rows = view.rows(query, &[one(&uuid(id)), one(&DECISION)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let Ok(Item::Log(Entry::Decision(record))) = Item::unpack(row.try_get(0)?) else { return Ok(None) };
    Ok(Some(StoredDecision { seq: 0, record, rerouted: None, archived: false }))
}

// === impl Waiting ===

impl Waiting {
    /// What waits, without what waits in vain: its window is over.
    pub(super) async fn load(client: &Client) -> Result<Self, StoreError> {
        client.execute_typed(ENDED, &[]).await?;
        client.execute_typed(GONE, &[]).await?;
        client.execute_typed(UNUSED, &[]).await?;
        client.execute_typed(terms::FORGET, &[]).await?;
        let over = client.execute_typed(OVER, &[]).await?;
        if over > 0 {
            tracing::warn!(
                words = over,
                "ratings whose decisions never came are forgotten: their gateways were killed before they could log them"
            );
        }
        let rows = client.query_typed("SELECT DISTINCT decision_id FROM waiting", &[]).await?;
        let ids = rows.iter().map(|row| Ok::<_, StoreError>(DecisionId(row.try_get::<_, Uuid>(0)?.as_u128())));
        Ok(Self(ids.collect::<Result<_, _>>()?))
    }

    /// These wait from now on, after those that do.
    pub(super) async fn add(&mut self, client: &Client, words: Vec<(FeedbackRecord, u64)>) -> Result<(), StoreError> {
        let (mut ids, mut ends, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for (feedback, window_ms) in words {
            self.0.insert(feedback.decision);
            ids.push(uuid(feedback.decision));
            ends.push(i64::try_from(feedback.time.0.saturating_add(window_ms)).unwrap_or(i64::MAX));
            bodies.push(Item::Rate { feedback, window_ms }.pack()?);
        }
        client.execute_typed(WAIT, &[many(&ids), many(&ends), many(&bodies)]).await?;
        Ok(())
    }

    /// Those that waited for one of these entries, in order; they wait no longer.
    pub(super) async fn come(
        &mut self,
        client: &Client,
        entries: &[Entry],
    ) -> Result<Vec<(FeedbackRecord, u64)>, StoreError> {
        let made =
            entries.iter().filter_map(|entry| if let Entry::Decision(made) = entry { Some(made.id) } else { None });
        let ids: Vec<Uuid> = made.filter(|id| self.0.remove(id)).map(uuid).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = client.query_typed(COME, &[many(&ids)]).await?;
        let mut words = Vec::new();
        for row in rows {
            if let Ok(Item::Rate { feedback, window_ms }) = Item::unpack(row.try_get(1)?) {
                words.push((row.try_get::<_, i64>(0)?, (feedback, window_ms)));
            }
        }
        words.sort_by_key(|(place, _)| *place);
        Ok(words.into_iter().map(|(_, word)| word).collect())
    }
}

const _: () = assert!(WORD == 2 && REPORT == 3, "the statements name them");
