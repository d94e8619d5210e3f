//! The log made shorter, in steps so small that what is logged meanwhile hardly waits. The room of what is gone is the server's to take back
//! (autovacuum).

use slarouter_core::Timestamp;
use tokio_postgres::Client;

use super::archive::{OldRow, archive, split};
use super::insert::ZooNumbers;
use super::params::{bound, many, one};
use super::readers::View;
use super::row::cells;
use crate::retention::{LOST_MS, Pass, before};
use crate::rollup::{Span, calendar_of};
use crate::{Held, Retention, Shortened, StoreError};

/// Rows that one step looks at.
const ROWS: i64 = 128;
/// Bytes of prompts that one step deletes: each takes rows of its own, which are deleted one by one.
const PROMPTS: i64 = 128 << 10;

/// One step over one kind.
pub(super) struct Step<'a> {
    pub(super) client: &'a Client,
    pub(super) zoos: &'a mut ZooNumbers,
    pub(super) retention: &'a Retention,
    pub(super) now: Timestamp,
    pub(super) pass: &'a mut Pass,
}

/// What a step works with.
struct Kinds<'a> {
    step: Step<'a>,
    /// Events that no replay from a saved state reads, and that are in the sums.
    floor: i64,
    done: Shortened,
}

/// The last event that each of the saved states has seen and that is counted.
const FLOOR: &str = "SELECT least(coalesce((SELECT min(seq) FROM snapshots), 0), (SELECT seq FROM rolled))";

/// Whether nothing that belongs to a decision is beyond the floor, and its request has ended or never will; and what it needs to be archived.
const SETTLED: &str = "SELECT d.seq, d.time, (d.time < $4 OR EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id)) \
     AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND o.seq > $2) \
     AND NOT EXISTS (SELECT 1 FROM reroutes r WHERE r.decision_id = d.id AND r.seq > $2) \
     AND NOT EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq > $2), \
     coalesce(octet_length(d.prompt), 0)::bigint, d.reason = 'pinned', CASE WHEN d.zoo IS NULL THEN d.decision END \
     FROM decisions d WHERE d.seq > $1 AND d.seq <= $2 ORDER BY d.seq LIMIT $3";

const DECISIONS_GONE: [&str; 3] = [
    "DELETE FROM feedback WHERE decision_id IN (SELECT id FROM archive WHERE seq = ANY ($1))",
    "DELETE FROM traces WHERE seq = ANY ($1)",
    "DELETE FROM archive WHERE seq = ANY ($1)",
];

const OUTCOMES_GONE: &str = "UPDATE archive SET ending = NULL, input_tokens = NULL, cached_tokens = NULL, output_tokens = NULL, \
     cost_usd = NULL, latency_ms = NULL, ttft_ms = NULL, error = NULL WHERE seq = ANY ($1) AND ending IS NOT NULL";

const FEEDBACK_GONE: &str = "DELETE FROM feedback f WHERE f.seq = ANY ($1) \
     AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = f.decision_id) RETURNING f.time";

const SUMS_GONE: [&str; 2] = [
    "DELETE FROM rollups WHERE (span, grp, start) IN (SELECT r.span, r.grp, r.start FROM rollups r WHERE r.span = $1 \
     AND r.grp IN (SELECT number FROM rollup_groups) AND r.start < $2 LIMIT $3)",
    "DELETE FROM certificates WHERE (span, route, start) IN (SELECT c.span, c.route, c.start FROM certificates c WHERE c.span = $1 \
     AND c.route IN (SELECT DISTINCT route FROM rollup_groups) AND c.start < $2 LIMIT $3)",
];

const NEXT_RATER: &str = "SELECT rater, time FROM forgotten WHERE rater > $1 ORDER BY rater LIMIT 1";

const OVER: &str = "SELECT seq <= $3 AND time < $4 FROM feedback WHERE rater = $1 AND rater <> 0 AND time <= $2 ORDER BY seq DESC LIMIT 1";

const RENAME: &str = "UPDATE feedback SET rater = (SELECT stand_in FROM forgotten WHERE rater = $1) WHERE seq IN \
     (SELECT seq FROM feedback WHERE rater = $1 AND rater <> 0 AND time <= $2 ORDER BY seq LIMIT $3)";

/// Does the next step. The pass goes on from it, and begins anew once there is nothing more to do.
pub(super) async fn shorten(step: Step<'_>) -> Result<Shortened, StoreError> {
    let floor = step.client.query_typed_one(FLOOR, &[]).await?.try_get(0)?;
    let mut kinds = Kinds { step, floor, done: Shortened::default() };
    while let Some(more) = kinds.next().await? {
        if kinds.step.pass.stepped(more, &mut kinds.done) {
            return Ok(kinds.done);
        }
    }
    *kinds.step.pass = Pass::default();
    Ok(kinds.done)
}

/// Rows of a number and a time that are old enough, and whether there may be more of them after the last one.
struct Due {
    rows: Vec<(i64, i64)>,
    more: bool,
}

impl Due {
    fn of(mut rows: Vec<(i64, i64)>, cut: i64) -> Self {
        let due = rows.iter().take_while(|(_, time)| *time < cut).count();
        let more = due as i64 == ROWS;
        rows.truncate(due);
        Self { rows, more }
    }

    fn seqs(&self) -> Vec<i64> {
        self.rows.iter().map(|(seq, _)| *seq).collect()
    }

    /// From when on there is something left, and the last row.
    fn reached(&self) -> Option<(i64, i64)> {
        let newest = self.rows.iter().map(|(_, time)| *time).max()?;
        Some((newest + 1, self.rows.last()?.0))
    }
}

impl Kinds<'_> {
    /// The step over the kind whose turn it is; `None` once all are through.
    async fn next(&mut self) -> Result<Option<bool>, StoreError> {
        Ok(Some(match self.step.pass.kinds {
            0 => self.archive().await?,
            1 => self.decisions().await?,
            2 => self.outcomes().await?,
            3 => self.feedback().await?,
            4 => self.prompts().await?,
            5 => self.sums().await?,
            6 => self.raters().await?,
            _ => return Ok(None),
        }))
    }

    /// When something of this kind goes: what was made before.
    fn cut(&self, kept_ms: Option<u64>) -> Option<i64> {
        kept_ms.map(|kept| bound(before(self.step.now, kept)))
    }

    /// Notes that a kind is gone up to a time: `column` of the table `shortened`.
    async fn mark(&self, column: &str, since: i64) -> Result<(), StoreError> {
        let update = format!("UPDATE shortened SET {column} = $1 WHERE {column} < $1");
        self.step.client.execute_typed(&update, &[one(&since)]).await?;
        Ok(())
    }

    /// Rows of the query, each of two numbers, after the last one that was looked at.
    async fn pairs(&self, query: &str, after: i64, until: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        let rows = self.step.client.query_typed(query, &[one(&after), one(&until), one(&ROWS)]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Decisions from which nothing is learnt any more. `true` if there may be more of them, as below.
    async fn archive(&mut self) -> Result<bool, StoreError> {
        let Some(cut) = self.step.retention.archived_before(self.step.now).map(bound) else { return Ok(false) };
        let (after, lost) = (self.step.pass.after, cut.saturating_sub_unsigned(LOST_MS));
        let rows =
            self.step.client.query_typed(SETTLED, &[one(&after), one(&self.floor), one(&ROWS), one(&lost)]).await?;
        let mut more = rows.len() as i64 == ROWS;
        let (mut split_up, mut old, mut times, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for row in &rows {
            let mut row = cells(row);
            let (seq, time, settled): (i64, i64, bool) = (row.next()?, row.next()?, row.next()?);
            let (prompt, is_pinned, decision): (i64, bool, Option<String>) = (row.next()?, row.next()?, row.next()?);
            if time >= cut || bytes > PROMPTS {
                more = time < cut;
                break;
            }
            self.step.pass.after = seq;
            if settled {
                bytes += prompt;
                times.push((seq, time));
                match decision {
                    Some(decision) => old.push(OldRow { seq, is_pinned, decision }),
                    None => split_up.push(seq),
                }
            }
        }
        // A row that does not hold what it should stays where it is.
        split_up.extend(split(self.step.client, &old, self.step.zoos).await?);
        let newest = times.iter().filter(|(seq, _)| split_up.contains(seq)).map(|(_, time)| *time).max();
        if let Some(newest) = newest {
            archive(self.step.client, &split_up).await?;
            self.done.archived += split_up.len() as u64;
            self.mark("whole", newest + 1).await?;
            self.mark("seq", self.floor).await?;
        }
        Ok(more)
    }

    /// Decisions of the archive, with all that is known of them.
    async fn decisions(&mut self) -> Result<bool, StoreError> {
        let Some(cut) = self.cut(self.step.retention.decisions_ms) else { return Ok(false) };
        let query = "SELECT seq, time FROM archive WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
        let due = Due::of(self.pairs(query, self.step.pass.after, i64::MAX).await?, cut);
        let Some((since, last)) = due.reached() else { return Ok(false) };
        let seqs = due.seqs();
        for statement in DECISIONS_GONE {
            self.step.client.execute_typed(statement, &[many(&seqs)]).await?;
        }
        self.step.pass.after = last;
        self.done.decisions += seqs.len() as u64;
        self.mark("decisions", since).await?;
        Ok(due.more)
    }

    /// How requests ended, of decisions of the archive.
    async fn outcomes(&mut self) -> Result<bool, StoreError> {
        let Some(cut) = self.cut(self.step.retention.outcomes_ms) else { return Ok(false) };
        let after = self.step.client.query_typed_one("SELECT outcomes_seq FROM shortened", &[]).await?.try_get(0)?;
        let query = "SELECT seq, time FROM archive WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
        let due = Due::of(self.pairs(query, after, i64::MAX).await?, cut);
        let Some((since, last)) = due.reached() else { return Ok(false) };
        self.done.outcomes += self.step.client.execute_typed(OUTCOMES_GONE, &[many(&due.seqs())]).await?;
        self.mark("outcomes", since).await?;
        self.mark("outcomes_seq", last).await?;
        Ok(due.more)
    }

    /// Words on decisions that are not whole any more.
    async fn feedback(&mut self) -> Result<bool, StoreError> {
        let Some(cut) = self.cut(self.step.retention.feedback_ms) else { return Ok(false) };
        let query = "SELECT seq, time FROM feedback WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
        let due = Due::of(self.pairs(query, self.step.pass.after, self.floor).await?, cut);
        let Some((_, last)) = due.reached() else { return Ok(false) };
        self.step.pass.after = last;
        let gone = self.step.client.query_typed(FEEDBACK_GONE, &[many(&due.seqs())]).await?;
        let times: Vec<i64> = gone.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        if let Some(newest) = times.iter().max() {
            self.mark("feedback", newest + 1).await?;
            self.mark("seq", self.floor).await?;
        }
        self.done.feedback += times.len() as u64;
        Ok(due.more)
    }

    /// Nothing is learnt from prompts, so they go whatever has been saved.
    async fn prompts(&mut self) -> Result<bool, StoreError> {
        let Some(cut) = self.cut(self.step.retention.prompts_ms) else { return Ok(false) };
        let after: i64 =
            self.step.client.query_typed_one("SELECT prompts_seq FROM shortened", &[]).await?.try_get(0)?;
        let query =
            "SELECT seq, time, octet_length(prompt)::bigint FROM decisions WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = self.step.client.query_typed(query, &[one(&after), one(&ROWS)]).await?;
        let (mut more, mut bytes, mut last) = (rows.len() as i64 == ROWS, 0, after);
        let (mut gone, mut newest) = (Vec::new(), None);
        for row in &rows {
            let (seq, time, length): (i64, i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if time >= cut || bytes > PROMPTS {
                more = time < cut;
                break;
            }
            last = seq;
            if let Some(length) = length {
                gone.push(seq);
                newest = newest.max(Some(time));
                bytes += length;
            }
        }
        if let Some(newest) = newest {
            let clear = "UPDATE decisions SET prompt = NULL WHERE seq = ANY ($1)";
            self.done.prompts += self.step.client.execute_typed(clear, &[many(&gone)]).await?;
            self.mark("prompts", newest + 1).await?;
        }
        self.mark("prompts_seq", last).await?;
        Ok(more)
    }

    /// Sums of whole days, of the calendar by which they were made.
    async fn sums(&mut self) -> Result<bool, StoreError> {
        let Some(kept) = self.step.retention.rollups_ms else { return Ok(false) };
        let zone = self.step.client.query_typed_one("SELECT zone FROM rolled", &[]).await?;
        // A zone that this machine does not know keeps the sums: whoever sums says so.
        let Ok(calendar) = calendar_of(&cells(&zone).next::<String>()?) else { return Ok(false) };
        let cut = bound(Span::Day.start(before(self.step.now, kept), &calendar));
        for span in Span::ALL {
            for statement in SUMS_GONE {
                let number = span as i64;
                let params = [one(&number), one(&cut), one(&ROWS)];
                let deleted = self.step.client.execute_typed(statement, &params).await?;
                if deleted > 0 {
                    self.mark("rollups", cut).await?;
                    self.done.sums += deleted;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The numbers of those who are to be forgotten, once nothing that is still learnt from has them.
    async fn raters(&mut self) -> Result<bool, StoreError> {
        let client = self.step.client;
        let first = if self.step.pass.after == 0 { i64::MIN } else { self.step.pass.after };
        let Some(row) = client.query_typed_opt(NEXT_RATER, &[one(&first)]).await? else { return Ok(false) };
        let (rater, time): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let open = bound(before(self.step.now, self.step.retention.window_ms));
        let newest = client.query_typed_opt(OVER, &[one(&rater), one(&time), one(&self.floor), one(&open)]).await?;
        if let Some(newest) = newest
            && !newest.try_get::<_, bool>(0)?
        {
            self.step.pass.after = rater;
            return Ok(true);
        }
        let renamed = client.execute_typed(RENAME, &[one(&rater), one(&time), one(&ROWS)]).await?;
        if renamed > 0 {
            self.mark("seq", self.floor).await?;
        }
        if renamed < ROWS.cast_unsigned() {
            client.execute_typed("DELETE FROM forgotten WHERE rater = $1", &[one(&rater)]).await?;
            self.step.pass.after = rater;
        }
        self.done.raters += renamed;
        Ok(true)
    }
}

/// What is left of the log.
pub(super) async fn held(view: &View) -> Result<Held, StoreError> {
    const SAVED: &str = "SELECT DISTINCT seq FROM snapshots ORDER BY seq";
    const SHORTENED: &str = "SELECT seq, whole, decisions, outcomes, feedback, prompts, rollups FROM shortened";
    let (saved, row) = tokio::try_join!(view.rows(SAVED, &[]), view.row(SHORTENED, &[]))?;
    let saved = saved.iter().map(|row| Ok(cells(row).next::<i64>()?.cast_unsigned()));
    let saved = saved.collect::<Result<_, StoreError>>()?;
    let mut row = cells(&row);
    let mut number = || row.next::<i64>().map(i64::cast_unsigned);
    Ok(Held {
        shortened_to: number()?,
        saved,
        whole_since: Timestamp(number()?),
        decisions_since: Timestamp(number()?),
        outcomes_since: Timestamp(number()?),
        feedback_since: Timestamp(number()?),
        prompts_since: Timestamp(number()?),
        rollups_since: Timestamp(number()?),
    })
}
