//! What every store can do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slarouter_core::{DecisionId, Rater, Receipt, Source, Timestamp};
use tokio::sync::watch;

use crate::{
    Added, By, Calendar, Configured, Counts, DecisionHistory, DecisionPage, DecisionQuery, Entry, Event,
    FeedbackRecord, Following, Forgotten, Held, Kept, KeyChange, KeyRecord, LimitUsage, LogRow, OutcomeRecord,
    PendingAudits, Point, Retention, Role, RouteCertificate, Row, RowQuery, Selection, Shortened, Snapshot,
    SpanCertificate, Spending, Step, StoreError, StoredDecision, TENTHS, Tenth, Term, Together, TraceQuery,
};

/// A durable log.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends; never waits. A second decision with the same id is ignored. Entries become durable in the order of the calls, some milliseconds later.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the writer cannot keep up, [`StoreError::Entry`] for what cannot be stored,
    /// [`StoreError::Closed`] after [`Store::close`].
    fn log(&self, entry: Entry) -> Result<(), StoreError>;

    /// Appends a route's configuration if it differs from its newest one. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn configure(&self, time: Timestamp, route: &str, spec: &str) -> Result<(), StoreError>;

    /// Appends a rating or an audit, if it says anything new. Durable on return. Sees all entries logged before the call.
    ///
    /// # Errors
    /// [`StoreError::UnknownDecision`] for an id that is not in the log, [`StoreError::NotDrawn`] for an audit of a decision
    /// that was not drawn, [`StoreError::Rated`] for the 1,001st word on a decision; others if it could not be written.
    async fn rate(&self, feedback: FeedbackRecord, window_ms: u64) -> Result<Receipt, StoreError>;

    /// Appends the outcome of a call that the caller of a decision made by himself, and before it a reroute if another model
    /// than the chosen one answered. Durable on return. The first report counts; [`Receipt::Duplicate`] for a later one.
    ///
    /// # Errors
    /// [`StoreError::Entry`] for what cannot be stored; others if it could not be written.
    async fn report(&self, outcome: OutcomeRecord, rerouted: bool) -> Result<Receipt, StoreError>;

    /// The next events after `seq`, at most `limit`, in order and without gaps in what is committed.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    async fn events_after(&self, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// [`Store::events_after`] for one who has learnt from all up to the event `seq`, which was appended under `by` as far as that is known; in one view
    /// with who has held the log, so that what a database that has lost commits says is never taken for what comes next.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    async fn following(&self, seq: u64, by: Option<Term>, limit: usize) -> Result<Following, StoreError> {
        let _ = by;
        Ok(Following { events: self.events_after(seq, limit).await?, ..Following::default() })
    }

    /// How often the database was found to have lost commits that this process knew of. One loss may be found twice.
    fn set_back(&self) -> u64 {
        0
    }

    /// The number of the last committed event; changes with every commit.
    fn committed(&self) -> watch::Receiver<u64>;

    /// Whether this process appends to the log itself, and learns and sums for all that share it. Whoever does not hold it may log and rate all
    /// the same: that goes to the holder. What else writes is refused by a follower, but for [`Store::configure`], which does nothing there.
    fn role(&self) -> watch::Receiver<Role> {
        watch::channel(Role::Holder).1
    }

    /// For how long it has not been seen how far the log is: at most some seconds while all is well, and nothing where no other process appends to it.
    fn unheard(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the last try to write failed: what is logged waits for the next.
    fn is_failing(&self) -> bool;

    /// Entries lost because the log could not be written for long.
    fn dropped(&self) -> u64;

    /// What waits in a file for a database that is away. It is acknowledged, and goes to the log once the database is back.
    fn kept(&self) -> Kept {
        Kept::default()
    }

    /// Saves every route's state as of `seq`, and forgets all but the newest three.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn save_snapshots(
        &self,
        seq: u64,
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError>;

    /// [`Store::save_snapshots`] of what was learnt up to the event `seq`, which was appended under `by`.
    ///
    /// # Errors
    /// As [`Store::save_snapshots`], and if the log does not hold that.
    async fn save_learnt(
        &self,
        (seq, by): (u64, Option<Term>),
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let _ = by;
        self.save_snapshots(seq, time, states).await
    }

    /// The newest saved state of every route, all as of one `seq`.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn load_snapshots(&self) -> Result<Vec<Snapshot>, StoreError>;

    /// [`Store::load_snapshots`] as of `seq` or before it; none if all that are kept are newer.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn load_snapshots_until(&self, seq: u64) -> Result<Vec<Snapshot>, StoreError>;

    /// Puts what is learnt back to `states`, which is what was known at the event `to`, by an event of the log ([`Event::RolledBack`]); after
    /// it the configurations that were put in force since are appended anew. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn roll_back(&self, to: u64, time: Timestamp, states: Vec<(Arc<str>, Vec<u8>)>) -> Result<(), StoreError>;

    /// Does the next small step towards what is to be kept as of `now`, so that what is logged meanwhile waits for some milliseconds at most;
    /// says whether there is more to do. Nothing goes that a replay from one of the saved states reads, or that is not in the sums yet.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written; then nothing of the step is done.
    async fn shorten(&self, retention: &Retention, now: Timestamp) -> Result<Shortened, StoreError>;

    /// What the store still holds of its log.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn held(&self) -> Result<Held, StoreError>;

    /// Finds what there is of a rater, and deletes it if `delete` is set: the rater's own words, and the messages and errors of what the rater rated, at
    /// once; the rater's number in the log when the window for feedback of all of it is over ([`Store::shorten`]). Ratings stay, and so
    /// does what was learnt. Rater 0, who has no name, is nobody.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read or written.
    async fn forget(&self, rater: Rater, now: Timestamp, delete: bool) -> Result<Forgotten, StoreError>;

    /// Forgets those whom other processes were asked to forget that share the log, if it is this one that can: the holder.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read or written: what is left is left for the next time.
    async fn forget_for_others(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// One decision; of one that is in the archive, what is kept of it ([`StoredDecision::archived`]).
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError>;

    /// The decision that feedback with an id of the application's own is about: the last answer with it that a route chose and that did not
    /// fail, or else the last one. Sees what is durable; only the newest 64 with the id count.
    ///
    /// # Errors
    /// [`StoreError::Ambiguous`] if several tenants have one; others if the log cannot be read.
    async fn traced(&self, query: TraceQuery) -> Result<Option<DecisionId>, StoreError>;

    /// One page of the list of decisions, newest first. Rows that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    async fn decisions(&self, query: DecisionQuery) -> Result<DecisionPage, StoreError>;

    /// One decision and what came of it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn history(&self, id: DecisionId) -> Result<Option<DecisionHistory>, StoreError>;

    /// The next rows of a table of the log, in the order of their numbers; none if there are no more. A page may have fewer rows than its
    /// limit, where their messages are long. Outcomes and feedback of decisions that are not in the log are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    async fn rows(&self, query: RowQuery) -> Result<Vec<LogRow>, StoreError>;

    /// The certificates that are kept, those after this one in the order of span, route and time, at most `limit`; none if there are no more.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn certificates(
        &self,
        after: Option<SpanCertificate>,
        limit: usize,
    ) -> Result<Vec<SpanCertificate>, StoreError>;

    /// Decisions made at `since` or later that were drawn for audit, have ended, and have no audit in force: those that come
    /// in the log after the decision `after`, oldest first, at most `limit`. With a `tenant`, those of its own routes (`route/tenant`) alone.
    /// Rows that cannot be read are named in their place.
    ///
    /// # Errors
    /// [`StoreError::UnknownDecision`] if `after` is not in the log, or none of the tenant's; others if the log cannot be read.
    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<PendingAudits, StoreError>;

    /// All keys that there ever were, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// Grows with each change of the keys, whichever process makes it; `None` where no other process can.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn key_version(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Makes these changes to the keys, all or none. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be written.
    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError>;

    /// [`Store::change_keys`] if no other process has changed the keys since [`Store::key_version`] said this.
    ///
    /// # Errors
    /// [`StoreError::KeysChanged`] if one has; others as [`Store::change_keys`].
    async fn change_keys_as_of(&self, version: Option<u64>, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        let _ = version;
        self.change_keys(changes).await
    }

    /// What each account has spent per day, from the day `since` on ([`Spending::day`]).
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError>;

    /// What was spent but by this process since it opened the store, from the day `since` on: as [`Store::spending`] at that moment, and grows with
    /// what other processes spend. Nothing where there can be none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn spent_elsewhere(&self, _since: u64) -> Result<Vec<Spending>, StoreError> {
        Ok(Vec::new())
    }

    /// Tells the other gateways what this one has used of limits per minute since the last call, and learns what all have used. `None` where there
    /// can be no others.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written or read: then what was used is still to be told.
    async fn share_usage(&self, _used: Vec<LimitUsage>) -> Result<Option<Together>, StoreError> {
        Ok(None)
    }

    /// Adds to the sums what the log holds after what is in them, some thousand events at most, in the days of this calendar, and these
    /// certificates as of now. Each event is counted once, whatever comes between.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read, or the sums cannot be written.
    async fn roll_up(&self, calendar: &Calendar, certificates: Vec<RouteCertificate>) -> Result<Added, StoreError>;

    /// The calendar whose days are summed: that of the last [`Store::roll_up`].
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn calendar(&self) -> Result<Calendar, StoreError>;

    /// The sums of these requests, told apart by what `by` says and in its order; one row without it, and none where there are none. Reads a row for each day, quarter of an
    /// hour or minute that the range is made of, for each route, model and payer.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn totals(&self, selection: Selection, by: &[By]) -> Result<Vec<Row>, StoreError>;

    /// The sums of these requests step by step, also where there are none.
    ///
    /// # Errors
    /// [`StoreError::Range`] for more than [`crate::MOST_POINTS`] points, and for minutes that are no longer kept; others if they cannot be read.
    async fn series(&self, selection: Selection, step: Step) -> Result<Vec<Point>, StoreError>;

    /// Where the first minute begins, from `from` on, in which something was decided for a route; the quarter of an hour, where minutes are
    /// no longer kept.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn first(&self, route: &str, from: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// The configurations of a route that were put in force from `from` on and before `to`, oldest first, after the one that was in force
    /// before.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn configured(&self, route: &str, range: (Timestamp, Timestamp)) -> Result<Vec<Configured>, StoreError>;

    /// The newest 2,000 ratings in force of a route, or audits, beside what had been predicted of their answers, by tenths of that. Looks for
    /// them among the last 100,000 events. Answers of another model than the chosen one, and pinned ones, are left out.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn calibration(&self, route: &str, source: Source) -> Result<[Tenth; TENTHS], StoreError>;

    /// The sums of these requests by the log up to the event `until` alone, and by the moments of the selection, which are not rounded. Reads
    /// all of it.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    async fn recount(&self, selection: Selection, until: u64, by: &[By]) -> Result<Vec<Row>, StoreError>;

    /// SHA-256 of the log up to the event `until`, without prompts. Another one once the log is shortened, or somebody is forgotten. Reads all of it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn fingerprint(&self, until: u64) -> Result<[u8; 32], StoreError>;

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Waits until all that was logged so far is durable.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Writes what is waiting and closes. Later calls fail.
    async fn close(&self);
}
