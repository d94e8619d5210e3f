//! How several processes share one log, without I/O: whose it is, what a process has sent, and what is taken next.
//!
//! One process holds the log and appends to it. The others send what they have to append, each as a stream of its own that counts from 1,
//! and the holder takes it from there. The writer of `postgres` asks this module what to do, and so does the simulation below it.

#[cfg(test)]
mod simulation;

use slarouter_core::{DecisionId, Timestamp};

/// By how much the clock of who made a decision may be ahead of that of who rates it.
const SKEW_MS: u64 = 10_000;

/// What a process is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It appends, for the others too.
    Holder,
    /// Another appends what this one sends, or will, once somebody holds the log.
    Follower,
}

/// What the database says of a process when it connects. From then on nothing that an older connection of the process has under way can be
/// committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Under which the process holds the log; `None` if another does.
    pub(crate) epoch: Option<i64>,
    /// The newest epoch of the log, whosever it is.
    pub(crate) newest: i64,
    /// The last event of the log.
    pub(crate) seq: u64,
    /// The number of its stream.
    pub(crate) stream: i64,
    /// Grows with each connection of the process.
    pub(crate) session: i64,
    /// Its last transaction that was committed.
    pub(crate) written: i64,
    /// The last number in its stream.
    pub(crate) sent: i64,
    /// The last one of them that is in the log.
    pub(crate) taken: i64,
}

/// A transaction of which it is not known whether it was committed.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    written: i64,
    /// How many of the first entries that wait were in it.
    entries: usize,
}

/// A process, by what the database has told it.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Of the connection that is open; `None` without one.
    claim: Option<Claim>,
    /// What was known at the last one.
    known: Option<Claim>,
    /// The newest epoch and the newest session that it has seen.
    seen: (i64, i64),
    /// The last transaction that was begun.
    written: i64,
    doubt: Option<Doubt>,
    /// It is alone, as it was told at this connection.
    is_alone: bool,
}

/// What a new connection brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// How many of the first entries that wait are written already: those of a commit whose answer was lost.
    pub(crate) written: usize,
    /// The database has lost commits of which this process knows.
    pub(crate) is_set_back: bool,
}

/// Between two changes of hands: under which epoch the log was held. No two are alike, also of two databases of which one began as a copy of the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Under which its holder wrote.
    pub epoch: i64,
    /// Another each time that the log is taken.
    pub id: u128,
}

/// Of a stream: what is in the log, and what is there to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) stream: i64,
    pub(crate) taken: i64,
    pub(crate) sent: i64,
}

/// What is to be taken of a stream: the numbers after `after` up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) stream: i64,
    pub(crate) after: i64,
    pub(crate) to: i64,
}

// === impl Role ===

impl Role {
    /// Whether this process appends to the log, and so learns and sums for all.
    #[must_use]
    pub fn is_holder(self) -> bool {
        self == Self::Holder
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Follower => "follower",
        }
    }
}

// === impl Member ===

impl Member {
    /// Takes up what the database says at a new connection.
    pub(crate) fn connected(&mut self, claim: Claim) -> Resumed {
        let doubt = self.doubt.take().filter(|doubt| claim.written >= doubt.written);
        let counts = |claim: Claim| [claim.newest, claim.seq.cast_signed(), claim.sent, claim.written];
        let is_less = |known| counts(known).into_iter().zip(counts(claim)).any(|(known, now)| now < known);
        let is_set_back = self.known.is_some_and(is_less);
        self.seen = (self.seen.0.max(claim.newest), self.seen.1.max(claim.session));
        // The numbers go on from those of the process whose name this one goes under.
        self.written = self.written.max(claim.written);
        (self.claim, self.known, self.is_alone) = (Some(claim), Some(claim), false);
        Resumed { written: doubt.map_or(0, |doubt| doubt.entries), is_set_back }
    }

    /// The newest epoch and the newest session that it has seen. Those that it takes at its next connection are beyond them, whatever the database
    /// knows of them: one that has lost commits would give them out again.
    pub(crate) fn seen(&self) -> (i64, i64) {
        self.seen
    }

    /// Whether a log that goes to `seq` has lost events of which this process knows.
    pub(crate) fn is_set_back(&self, seq: u64) -> bool {
        self.known.is_some_and(|known| seq < known.seq)
    }

    /// It was told whether there are other processes.
    pub(crate) fn counted(&mut self, others: bool) {
        self.is_alone = !others;
    }

    /// Whether a decision that is not in the log may be on its way from another process. It may, as long as it is not known that there is none.
    pub(crate) fn has_others(&self) -> bool {
        !self.is_alone
    }

    /// What it is; `None` without a connection.
    pub(crate) fn role(&self) -> Option<Role> {
        self.claim.map(|claim| if claim.epoch.is_some() { Role::Holder } else { Role::Follower })
    }

    /// What is known of it at the open connection.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// Whether some of what it sent as a follower is not in the log yet: it comes before what the process appends as holder.
    pub(crate) fn owes(&self) -> bool {
        self.claim.is_some_and(|claim| claim.epoch.is_some() && claim.sent > claim.taken)
    }

    /// Begins a transaction; its number.
    pub(crate) fn begin(&mut self) -> i64 {
        self.written += 1;
        self.written
    }

    /// The number of the transaction that is begun next.
    pub(crate) fn upcoming(&self) -> i64 {
        self.written + 1
    }

    /// The number of the transaction that was begun last.
    pub(crate) fn last(&self) -> i64 {
        self.written
    }

    /// Its transaction was committed: the log goes to `seq`, the stream to `sent`, and so much of it is taken.
    pub(crate) fn committed(&mut self, seq: u64, sent: i64, taken: i64) {
        if let Some(claim) = &mut self.claim {
            (claim.seq, claim.sent, claim.taken, claim.written) = (seq, sent, taken, self.written);
            self.known = self.claim;
        }
    }

    /// The log of another goes to `seq`.
    pub(crate) fn saw(&mut self, seq: u64) {
        if let Some(claim) = &mut self.claim {
            claim.seq = seq;
            self.known = self.claim;
        }
    }

    /// It failed, and the connection is given up. With the number of entries in it if it may have been committed.
    pub(crate) fn failed(&mut self, at_commit: Option<usize>) {
        self.claim = None;
        if let Some(entries) = at_commit {
            self.doubt = Some(Doubt { written: self.written, entries });
        }
    }

    /// So many of the first entries that wait are given up.
    pub(crate) fn dropped(&mut self, count: usize) {
        if let Some(doubt) = &mut self.doubt {
            doubt.entries = doubt.entries.saturating_sub(count);
        }
    }
}

/// What to take now: no more than `room`, of each stream about as much, as who sends much is not to hold up the others. While this process
/// `owes` something its own stream goes before all.
pub(crate) fn next(news: &[News], own: i64, owes: bool, room: i64) -> Vec<Stretch> {
    let wanted = news.iter().filter(|news| news.sent > news.taken && (!owes || news.stream == own));
    let wanted: Vec<_> = wanted.collect();
    let share = (room / wanted.len().max(1) as i64).max(1);
    let stretch =
        |news: &&News| Stretch { stream: news.stream, after: news.taken, to: news.sent.min(news.taken + share) };
    wanted.iter().map(stretch).take(room.max(1) as usize).collect()
}

/// Whether a word on a decision that is not in the log waits for it: the decision may be on its way from another process, as long as words on
/// it count. The time is that which its id carries, a UUIDv7.
pub(crate) fn may_come(decision: DecisionId, now: Timestamp, window_ms: u64) -> bool {
    let made = (decision.0 >> 80) as u64;
    made <= now.0.saturating_add(SKEW_MS) && now.0.saturating_sub(made) <= window_ms
}

/// Whether the log is another than the one that was learnt from up to the event `learnt`, which the holder of the term `by` wrote, as its database has
/// lost commits: it ends before that event, at `last`, or the holder of another term wrote the event, `found`.
pub(crate) fn is_another((learnt, by): (u64, Option<Term>), last: u64, found: Option<Term>) -> bool {
    last < learnt || (by.is_some() && by != found)
}

/// Whether the log, which was shortened to this event, no longer tells what came after the event `learnt`.
#[must_use]
pub fn is_lost(learnt: u64, shortened_to: u64) -> bool {
    learnt < shortened_to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(epoch: Option<i64>, written: i64, sent: i64, taken: i64) -> Claim {
        Claim { epoch, newest: 1, seq: 0, stream: 1, session: 1, written, sent, taken }
    }

    #[test]
    fn entries_of_a_commit_whose_answer_was_lost_are_dropped_if_they_are_written() {
        for (committed, dropped) in [(true, 3), (false, 0)] {
            let mut member = Member::default();
            let resumed = |written| Resumed { written, is_set_back: false };
            assert_eq!(member.connected(claim(Some(1), 0, 0, 0)), resumed(0));
            let number = member.begin();
            member.failed(Some(5));
            member.dropped(2);
            let now = claim(None, if committed { number } else { number - 1 }, 0, 0);
            assert_eq!(member.connected(now), resumed(dropped));
            assert_eq!((member.begin(), member.role()), (2, Some(Role::Follower)));
        }
    }

    #[test]
    fn lost_commits_are_noticed_and_what_was_given_out_is_not_given_out_again() {
        let mut member = Member::default();
        let known = Claim { newest: 7, seq: 100, session: 3, ..claim(Some(7), 0, 5, 5) };
        assert!(!member.connected(known).is_set_back);
        member.begin();
        member.committed(101, 5, 5);
        for set_back in [
            Claim { newest: 6, ..known },
            Claim { seq: 100, written: 1, ..known },
            Claim { seq: 101, sent: 4, written: 1, ..known },
            Claim { seq: 101, written: 0, ..known },
        ] {
            let mut member =
                Member { claim: member.claim, known: member.known, seen: member.seen, ..Member::default() };
            assert!(member.connected(Claim { session: 1, ..set_back }).is_set_back, "{set_back:?}");
            assert_eq!(member.seen(), (7, 3));
        }
        assert!(member.is_set_back(100) && !member.is_set_back(101));
        let now = Claim { newest: 8, seq: 101, session: 4, written: 1, ..known };
        assert!(!member.connected(now).is_set_back);
        assert_eq!(member.seen(), (8, 4));
        let [one, two] = [1, 2].map(|id| Some(Term { epoch: 7, id }));
        assert!(is_another((5, one), 4, one) && is_another((5, one), 9, two) && is_another((5, one), 9, None));
        assert!(!is_another((5, one), 5, one) && !is_another((5, None), 5, one));
    }

    #[test]
    fn each_stream_has_its_share_and_what_is_owed_goes_first() {
        let news = |stream, taken, sent| News { stream, taken, sent };
        let all = [news(1, 0, 1_000), news(2, 5, 8), news(3, 4, 4)];
        let stretch = |stream, after, to| Stretch { stream, after, to };
        assert_eq!(next(&all, 2, false, 100), [stretch(1, 0, 50), stretch(2, 5, 8)]);
        assert_eq!(next(&all, 2, true, 100), [stretch(2, 5, 8)]);
        assert_eq!(next(&all, 2, false, 1), [stretch(1, 0, 1)]);
        assert_eq!(next(&[], 2, true, 100), []);
    }

    #[test]
    fn a_word_waits_for_a_decision_that_may_come_and_for_no_other() {
        let id = |ms: u64| DecisionId(u128::from(ms) << 80 | 7 << 76);
        assert!(may_come(id(1_000), Timestamp(1_000), 50) && may_come(id(1_000), Timestamp(1_050), 50));
        assert!(!may_come(id(1_000), Timestamp(1_051), 50), "its window is over");
        assert!(may_come(id(11_000), Timestamp(1_000), 50) && !may_come(id(11_001), Timestamp(1_000), 50));
    }
}
