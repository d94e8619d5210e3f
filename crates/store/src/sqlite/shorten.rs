//! The log made shorter, in steps so small that what is logged meanwhile hardly waits.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use slarouter_core::Timestamp;

use super::archive::archive;
use super::rollups;
use crate::retention::{LOST_MS, Pass, before};
use crate::rollup::Span;
use crate::{Held, Retention, Shortened, StoreError};

/// Rows that one step looks at.
const ROWS: i64 = 128;
/// Bytes of prompts that one step deletes: each takes pages of its own, which are freed one by one.
const PROMPTS: i64 = 128 << 10;
/// Pages that one step gives back to the file system.
const PAGES: i64 = 64;
/// Free pages that stay for what is written next.
const SPARE: i64 = 256;

/// One step over one kind.
struct Step<'a> {
    connection: &'a Connection,
    retention: &'a Retention,
    now: Timestamp,
    /// Events that no replay from a saved state reads, and that are in the sums.
    floor: i64,
    pass: &'a mut Pass,
    done: Shortened,
}

/// Does the next step. The pass goes on from it, and begins anew once there is nothing more to do.
pub(super) fn shorten(
    connection: &Connection,
    retention: &Retention,
    now: Timestamp,
    pass: &mut Pass,
) -> Result<Shortened, rusqlite::Error> {
    let floor = floor(connection)?;
    let mut step = Step { connection, retention, now, floor, pass, done: Shortened::default() };
    while let Some(more) = step.next()? {
        if step.pass.stepped(more, &mut step.done) {
            return Ok(step.done);
        }
    }
    *step.pass = Pass::default();
    Ok(step.done)
}

/// The last event that each of the saved states has seen and that is counted.
fn floor(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row(
        "SELECT min(coalesce((SELECT min(seq) FROM snapshots), 0), (SELECT seq FROM rolled))",
        [],
        |row| row.get(0),
    )
}

/// Notes that a kind is gone up to a time: `column` of the table `shortened`.
fn mark(connection: &Connection, column: &str, since: i64) -> Result<(), rusqlite::Error> {
    let update = format!("UPDATE shortened SET {column} = max({column}, ?1)");
    connection.prepare_cached(&update)?.execute([since]).map(drop)
}

fn stored(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// Rows of the query, each of two numbers, after the last one that was looked at.
fn pairs(connection: &Connection, query: &str, after: i64, until: i64) -> Result<Vec<(i64, i64)>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map(params![after, until, ROWS], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Nothing that belongs to the decision is beyond the floor, and its request has ended or never will.
const SETTLED: &str = "SELECT (EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id) OR d.time < ?3) \
     AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND o.seq > ?2) \
     AND NOT EXISTS (SELECT 1 FROM reroutes r WHERE r.decision_id = d.id AND r.seq > ?2) \
     AND NOT EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq > ?2), \
     coalesce(octet_length(d.prompt), 0) FROM decisions d WHERE d.seq = ?1";

impl Step<'_> {
    /// The step over the kind whose turn it is; `None` once all are through.
    fn next(&mut self) -> Result<Option<bool>, rusqlite::Error> {
        Ok(Some(match self.pass.kinds {
            0 => self.archive()?,
            1 => self.decisions()?,
            2 => self.outcomes()?,
            3 => self.feedback()?,
            4 => self.prompts()?,
            5 => self.sums()?,
            6 => self.raters()?,
            7 => self.free()?,
            _ => return Ok(None),
        }))
    }

    /// When something of this kind goes: what was made before.
    fn cut(&self, kept_ms: Option<u64>) -> Option<i64> {
        kept_ms.map(|kept| stored(before(self.now, kept)))
    }

    /// Decisions from which nothing is learnt any more. `true` if there may be more of them, as below.
    fn archive(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(cut) = self.retention.archived_before(self.now).map(stored) else { return Ok(false) };
        let query = "SELECT seq, time FROM decisions WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let rows = pairs(self.connection, query, self.pass.after, self.floor)?;
        let full = rows.len() as i64 == ROWS;
        let lost = cut.saturating_sub_unsigned(LOST_MS);
        let (mut newest, mut bytes) = (None, 0);
        for (seq, time) in rows {
            if time >= cut {
                self.archived(newest)?;
                return Ok(false);
            }
            if bytes > PROMPTS {
                self.archived(newest)?;
                return Ok(true);
            }
            self.pass.after = seq;
            let mut settled = self.connection.prepare_cached(SETTLED)?;
            let (settled, prompt): (bool, i64) =
                settled.query_row(params![seq, self.floor, lost], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if settled && self.is_archived(seq)? {
                bytes += prompt;
                newest = newest.max(Some(time));
                self.done.archived += 1;
            }
        }
        self.archived(newest)?;
        Ok(full)
    }

    /// Moves one to the archive. A row that does not hold what it should stays where it is.
    fn is_archived(&self, seq: i64) -> Result<bool, rusqlite::Error> {
        match archive(self.connection, seq) {
            Ok(()) => Ok(true),
            // What SQLite says of JSON that is none, before anything was changed.
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::Unknown => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn archived(&self, newest: Option<i64>) -> Result<(), rusqlite::Error> {
        let Some(newest) = newest else { return Ok(()) };
        mark(self.connection, "whole", newest + 1)?;
        mark(self.connection, "seq", self.floor)
    }

    /// Decisions of the archive, with all that is known of them.
    fn decisions(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(cut) = self.cut(self.retention.decisions_ms) else { return Ok(false) };
        let query = "SELECT seq, time FROM archive WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let rows = pairs(self.connection, query, self.pass.after, i64::MAX)?;
        let full = rows.len() as i64 == ROWS;
        for (seq, time) in rows {
            if time >= cut {
                return Ok(false);
            }
            self.pass.after = seq;
            for statement in [
                "DELETE FROM feedback WHERE decision_id = (SELECT id FROM archive WHERE seq = ?1)",
                "DELETE FROM traces WHERE seq = ?1",
                "DELETE FROM archive WHERE seq = ?1",
            ] {
                self.connection.prepare_cached(statement)?.execute([seq])?;
            }
            mark(self.connection, "decisions", time + 1)?;
            self.done.decisions += 1;
        }
        Ok(full)
    }

    /// How requests ended, of decisions of the archive.
    fn outcomes(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(cut) = self.cut(self.retention.outcomes_ms) else { return Ok(false) };
        let after = self.connection.query_row("SELECT outcomes_seq FROM shortened", [], |row| row.get(0))?;
        let query = "SELECT seq, time FROM archive WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let rows = pairs(self.connection, query, after, i64::MAX)?;
        let full = rows.len() as i64 == ROWS;
        for (seq, time) in rows {
            if time >= cut {
                return Ok(false);
            }
            let mut clear = self.connection.prepare_cached(
                "UPDATE archive SET ending = NULL, input_tokens = NULL, cached_tokens = NULL, output_tokens = NULL, \
                 cost_usd = NULL, latency_ms = NULL, ttft_ms = NULL, error = NULL WHERE seq = ?1 AND ending IS NOT NULL",
            )?;
            self.done.outcomes += clear.execute([seq])? as u64;
            mark(self.connection, "outcomes", time + 1)?;
            mark(self.connection, "outcomes_seq", seq)?;
        }
        Ok(full)
    }

    /// Words on decisions that are not whole any more.
    fn feedback(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(cut) = self.cut(self.retention.feedback_ms) else { return Ok(false) };
        let query = "SELECT seq, time FROM feedback WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let rows = pairs(self.connection, query, self.pass.after, self.floor)?;
        let full = rows.len() as i64 == ROWS;
        for (seq, time) in rows {
            if time >= cut {
                return Ok(false);
            }
            self.pass.after = seq;
            let mut delete = self.connection.prepare_cached(
                "DELETE FROM feedback WHERE seq = ?1 AND decision_id NOT IN (SELECT id FROM decisions WHERE id = decision_id)",
            )?;
            let deleted = delete.execute([seq])?;
            if deleted > 0 {
                mark(self.connection, "feedback", time + 1)?;
                mark(self.connection, "seq", self.floor)?;
            }
            self.done.feedback += deleted as u64;
        }
        Ok(full)
    }

    /// Nothing is learnt from prompts, so they go whatever has been saved.
    fn prompts(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(cut) = self.cut(self.retention.prompts_ms) else { return Ok(false) };
        let after = self.connection.query_row("SELECT prompts_seq FROM shortened", [], |row| row.get(0))?;
        let query = "SELECT seq, time FROM decisions WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let rows = pairs(self.connection, query, after, i64::MAX)?;
        let full = rows.len() as i64 == ROWS;
        let mut bytes = 0;
        for (seq, time) in rows {
            if time >= cut {
                return Ok(false);
            }
            if bytes > PROMPTS {
                return Ok(true);
            }
            mark(self.connection, "prompts_seq", seq)?;
            let mut length =
                self.connection.prepare_cached("SELECT octet_length(prompt) FROM decisions WHERE seq = ?1")?;
            if let Some(length) = length.query_row([seq], |row| row.get::<_, Option<i64>>(0))? {
                self.connection.prepare_cached("UPDATE decisions SET prompt = NULL WHERE seq = ?1")?.execute([seq])?;
                mark(self.connection, "prompts", time + 1)?;
                bytes += length;
                self.done.prompts += 1;
            }
        }
        Ok(full)
    }

    /// Sums of whole days, of the calendar by which they were made.
    fn sums(&mut self) -> Result<bool, rusqlite::Error> {
        let Some(kept) = self.retention.rollups_ms else { return Ok(false) };
        // A zone that this machine does not know keeps the sums: whoever sums says so.
        let Ok(calendar) = rollups::calendar(self.connection) else { return Ok(false) };
        let cut = stored(Span::Day.start(before(self.now, kept), &calendar));
        for span in Span::ALL {
            for statement in [
                "DELETE FROM rollups WHERE (span, grp, start) IN (SELECT span, grp, start FROM rollups WHERE span = ?1 \
                 AND grp IN (SELECT number FROM rollup_groups) AND start < ?2 LIMIT ?3)",
                "DELETE FROM certificates WHERE (span, route, start) IN (SELECT span, route, start FROM certificates \
                 WHERE span = ?1 AND route IN (SELECT DISTINCT route FROM rollup_groups) AND start < ?2 LIMIT ?3)",
            ] {
                let deleted = self.connection.prepare_cached(statement)?.execute(params![span as i64, cut, ROWS])?;
                if deleted > 0 {
                    mark(self.connection, "rollups", cut)?;
                    self.done.sums += deleted as u64;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The numbers of those who are to be forgotten, once nothing that is still learnt from has them.
    fn raters(&mut self) -> Result<bool, rusqlite::Error> {
        let mut next = self
            .connection
            .prepare_cached("SELECT rater, time FROM forgotten WHERE rater > ?1 ORDER BY rater LIMIT 1")?;
        let first = if self.pass.after == 0 { i64::MIN } else { self.pass.after };
        let Some((rater, time)): Option<(i64, i64)> =
            next.query_row([first], |row| Ok((row.get(0)?, row.get(1)?))).optional()?
        else {
            return Ok(false);
        };
        let open = stored(before(self.now, self.retention.window_ms));
        let mut newest = self.connection.prepare_cached(
            "SELECT seq <= ?3 AND time < ?4 FROM feedback WHERE rater = ?1 AND rater <> 0 AND time <= ?2 ORDER BY seq DESC LIMIT 1",
        )?;
        let over: Option<bool> =
            newest.query_row(params![rater, time, self.floor, open], |row| row.get(0)).optional()?;
        if over == Some(false) {
            self.pass.after = rater;
            return Ok(true);
        }
        let mut rename = self.connection.prepare_cached(
            "UPDATE feedback SET rater = (SELECT stand_in FROM forgotten WHERE rater = ?1) WHERE seq IN \
             (SELECT seq FROM feedback WHERE rater = ?1 AND rater <> 0 AND time <= ?2 ORDER BY seq LIMIT ?3)",
        )?;
        let renamed = rename.execute(params![rater, time, ROWS])?;
        if renamed > 0 {
            mark(self.connection, "seq", self.floor)?;
        }
        if (renamed as i64) < ROWS {
            self.connection.prepare_cached("DELETE FROM forgotten WHERE rater = ?1")?.execute([rater])?;
            self.pass.after = rater;
        }
        self.done.raters += renamed as u64;
        Ok(true)
    }

    /// Pages that nothing is in, at the end of the file. A database that was made without `auto_vacuum` keeps them for what comes.
    fn free(&mut self) -> Result<bool, rusqlite::Error> {
        let number =
            |pragma: &str| self.connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
        let free = number("freelist_count")?;
        if number("auto_vacuum")? != 2 || free <= SPARE {
            return Ok(false);
        }
        let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({})", PAGES.min(free - SPARE)))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        let freed = free - number("freelist_count")?;
        self.done.freed_bytes = freed.saturating_mul(number("page_size")?).max(0) as u64;
        Ok(freed > 0)
    }
}

/// What is left of the log.
pub(super) fn held(connection: &mut Connection) -> Result<Held, StoreError> {
    let view = connection.transaction()?;
    let mut statement = view.prepare_cached("SELECT DISTINCT seq FROM snapshots ORDER BY seq")?;
    let saved = statement.query_map([], |row| row.get::<_, i64>(0))?;
    let saved = saved.map(|seq| seq.map(i64::cast_unsigned)).collect::<Result<_, _>>()?;
    let query = "SELECT seq, whole, decisions, outcomes, feedback, prompts, rollups FROM shortened";
    let held = view.query_row(query, [], |row| {
        let time = |place| row.get::<_, i64>(place).map(|ms| Timestamp(ms.cast_unsigned()));
        Ok(Held {
            shortened_to: row.get::<_, i64>(0)?.cast_unsigned(),
            saved,
            whole_since: time(1)?,
            decisions_since: time(2)?,
            outcomes_since: time(3)?,
            feedback_since: time(4)?,
            prompts_since: time(5)?,
            rollups_since: time(6)?,
        })
    })?;
    Ok(held)
}
