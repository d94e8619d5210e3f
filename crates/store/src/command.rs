//! What is asked of the writer of a log.

use std::sync::Arc;

use slarouter_core::{Rater, Receipt, Timestamp};
use tokio::sync::oneshot;

use crate::retention::Pass;
use crate::rollup::Tally;
use crate::{Entry, FeedbackRecord, KeyChange, OutcomeRecord, Retention, Shortened, StoreError, Term};

/// Saved states kept per route.
pub(crate) const KEPT_SNAPSHOTS: i64 = 3;
/// Ratings of one decision and changes of them: the next is counted against all before it, here and by the learner.
pub(crate) const MOST_WORDS: i64 = 1_000;

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(crate) enum Command {
    Log(Entry),
    Configure { time: Timestamp, route: String, spec: String, reply: Reply<()> },
    Rate { feedback: FeedbackRecord, window_ms: u64, reply: Reply<Receipt> },
    Report { outcome: Box<OutcomeRecord>, rerouted: bool, reply: Reply<Receipt> },
    ChangeKeys { changes: Vec<KeyChange>, as_of: Option<u64>, reply: Reply<()> },
    Save { learnt: (u64, Option<Term>), time: Timestamp, states: Vec<(Arc<str>, Vec<u8>)>, reply: Reply<()> },
    RollBack { to: u64, time: Timestamp, states: Vec<(Arc<str>, Vec<u8>)>, reply: Reply<()> },
    Shorten { retention: Box<Retention>, now: Timestamp, pass: Pass, reply: Reply<(Shortened, Pass)> },
    Forget { rater: Rater, until: Timestamp, after: u64, reply: Reply<Option<u64>> },
    RollUp { tally: Box<Tally>, reply: Reply<()> },
    Flush { reply: Reply<()> },
}

/// Answers that must wait for the commit.
pub(crate) enum Answer {
    Done(Reply<()>),
    Receipt(Reply<Receipt>, Result<Receipt, StoreError>),
    /// Does what is to be done with what the commit came to.
    Then(Box<dyn FnOnce(Result<(), StoreError>) + Send>),
}

impl Answer {
    /// This value, once it is committed.
    pub(crate) fn with<T: Send + 'static>(reply: Reply<T>, value: T) -> Self {
        Self::Then(Box::new(move |committed| drop(reply.send(committed.map(|()| value)))))
    }

    /// That it is not done, whatever becomes of the others.
    pub(crate) fn failed<T: Send + 'static>(reply: Reply<T>, why: StoreError) -> Self {
        Self::Then(Box::new(move |_| drop(reply.send(Err(why)))))
    }

    pub(crate) fn give(self) {
        // Nobody may be waiting any more: the client went away, the event is durable all the same.
        match self {
            Self::Done(reply) => drop(reply.send(Ok(()))),
            Self::Receipt(reply, receipt) => drop(reply.send(receipt)),
            Self::Then(told) => told(Ok(())),
        }
    }

    pub(crate) fn refuse(self, why: &str) {
        let error = StoreError::Unavailable(why.to_owned());
        match self {
            Self::Done(reply) => drop(reply.send(Err(error))),
            // That a decision is unknown, or was not drawn, stays true, whatever became of the transaction.
            Self::Receipt(
                reply,
                Err(known @ (StoreError::UnknownDecision | StoreError::NotDrawn | StoreError::Rated)),
            ) => {
                drop(reply.send(Err(known)));
            }
            Self::Receipt(reply, _) => drop(reply.send(Err(error))),
            Self::Then(told) => told(Err(error)),
        }
    }

    pub(crate) fn unwritten(command: Command) -> Self {
        match command {
            Command::Rate { reply, .. } | Command::Report { reply, .. } => {
                Self::Receipt(reply, Err(StoreError::Closed))
            }
            Command::Configure { reply, .. }
            | Command::ChangeKeys { reply, .. }
            | Command::Save { reply, .. }
            | Command::RollBack { reply, .. }
            | Command::RollUp { reply, .. }
            | Command::Flush { reply } => Self::Done(reply),
            Command::Shorten { reply, .. } => Self::with(reply, Default::default()),
            Command::Forget { reply, .. } => Self::with(reply, None),
            Command::Log(_) => Self::Done(oneshot::channel().0),
        }
    }
}
