//! Where an exchange stands, and so what may happen to it next.

use tokio::time::Instant;

/// Where an exchange stands; `C` is what is held of a call under way.
///
/// It begins `Idle`. Each call takes it to `Calling`, a failed one back to `Idle`, a good one to `Answering`. Whatever happens, and
/// wherever it stood, it ends `Settled`, once.
pub(super) enum Phase<C> {
    /// No call is under way: none has been made yet, or the last one failed.
    Idle,
    /// A call is under way, and perhaps another beside it.
    Calling { call: C, beside: Option<C> },
    /// The model has begun to answer. A call beside it was dropped by then.
    Answering { call: C, first_byte: Instant },
    /// The outcome is in the log. Nothing follows.
    Settled,
}

/// What was under way when an exchange was settled.
pub(super) struct Ended<C> {
    pub(super) call: Option<C>,
    /// When the model began to answer, if any did.
    pub(super) first_byte: Option<Instant>,
}

impl<C> Phase<C> {
    /// A call begins: `Idle` → `Calling`.
    pub(super) fn call(&mut self, call: C) {
        debug_assert!(matches!(self, Self::Idle), "a call is under way already, or all is over");
        *self = Self::Calling { call, beside: None };
    }

    /// Another begins beside the one under way: within `Calling`.
    pub(super) fn call_beside(&mut self, second: C) {
        debug_assert!(
            matches!(self, Self::Calling { beside: None, .. }),
            "there is no call that lacks another beside it"
        );
        if let Self::Calling { beside, .. } = self {
            *beside = Some(second);
        }
    }

    /// The call beside the first is over, if there is one: within `Calling`.
    pub(super) fn end_beside(&mut self) -> Option<C> {
        if let Self::Calling { beside, .. } = self { beside.take() } else { None }
    }

    /// The call beside the first takes its place, if there is one: within `Calling`. Gives the first.
    pub(super) fn overtake(&mut self) -> Option<C> {
        let Self::Calling { call, beside } = self else { return None };
        beside.take().map(|second| std::mem::replace(call, second))
    }

    /// The call under way has failed: `Calling` → `Idle`. Gives that call.
    pub(super) fn fail(&mut self) -> Option<C> {
        debug_assert!(matches!(self, Self::Calling { beside: None, .. }), "no call is under way, or another beside it");
        match std::mem::replace(self, Self::Idle) {
            Self::Calling { call, .. } => Some(call),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The first bytes of an answer are here: `Calling` → `Answering`. Gives the call that brought them.
    pub(super) fn answer(&mut self, now: Instant) -> Option<&mut C> {
        debug_assert!(matches!(self, Self::Calling { beside: None, .. }), "no call is under way, or another beside it");
        *self = match std::mem::replace(self, Self::Idle) {
            Self::Calling { call, .. } => Self::Answering { call, first_byte: now },
            other => other,
        };
        if let Self::Answering { call, .. } = self { Some(call) } else { None }
    }

    /// Whether the model has begun to answer.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self, Self::Answering { .. })
    }

    /// All is over. `None` if it has been before: there is one outcome.
    pub(super) fn settle(&mut self) -> Option<Ended<C>> {
        match std::mem::replace(self, Self::Settled) {
            Self::Idle => Some(Ended { call: None, first_byte: None }),
            Self::Calling { call, .. } => Some(Ended { call: Some(call), first_byte: None }),
            Self::Answering { call, first_byte } => Some(Ended { call: Some(call), first_byte: Some(first_byte) }),
            Self::Settled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_then_an_answer_then_the_end_once() {
        let (mut phase, now) = (Phase::Idle, Instant::now());
        phase.call(1);
        assert_eq!(phase.fail(), Some(1));
        phase.call(2);
        assert!(!phase.is_answering());
        assert_eq!(phase.answer(now), Some(&mut 2));
        assert!(phase.is_answering());
        let ended = phase.settle().unwrap();
        assert_eq!((ended.call, ended.first_byte), (Some(2), Some(now)));
        assert!(phase.settle().is_none() && !phase.is_answering(), "there is one outcome");
    }

    #[test]
    fn of_two_calls_one_is_left() {
        let mut phase = Phase::Idle;
        phase.call("first");
        assert_eq!(phase.overtake(), None, "there is no other");
        phase.call_beside("second");
        assert_eq!(phase.end_beside(), Some("second"));
        assert_eq!(phase.end_beside(), None);
        phase.call_beside("third");
        assert_eq!(phase.overtake(), Some("first"));
        assert_eq!(phase.fail(), Some("third"));
    }

    #[test]
    fn an_exchange_may_end_wherever_it_stands() {
        let ended = |mut phase: Phase<u8>| phase.settle().map(|ended| (ended.call, ended.first_byte.is_some()));
        assert_eq!(ended(Phase::Idle), Some((None, false)));
        assert_eq!(ended(Phase::Calling { call: 1, beside: Some(2) }), Some((Some(1), false)));
        assert_eq!(ended(Phase::Answering { call: 1, first_byte: Instant::now() }), Some((Some(1), true)));
        assert_eq!(ended(Phase::Settled), None);
    }

    #[test]
    #[should_panic(expected = "a call is under way already")]
    fn a_call_does_not_begin_while_another_is_answered() {
        let mut phase = Phase::Answering { call: 1, first_byte: Instant::now() };
        phase.call(2);
    }
}
