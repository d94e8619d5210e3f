//! The second of two calls that run beside each other.

use slarouter_config::{Model, Prices};
use tokio::time::Instant;

use super::Ticket;
use crate::upstream::Admission;
use crate::upstream::Failure;

/// A call that runs beside the one under way.
pub(super) struct Second {
    model: Model,
    admission: Admission,
}

/// What was spent on calls that were dropped because another answered first: at least their question, estimated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dropped {
    pub(super) tokens: f64,
    pub(super) usd: f64,
}

impl Ticket {
    /// Notes that a call to `model` begins beside the one under way.
    pub(in crate::chat) fn second(&mut self, model: &Model, admission: Admission) {
        self.attempts += 1;
        if let Some(trace) = &mut self.trace {
            trace.second(model, self.attempts);
        }
        self.second = Some(Second { model: model.clone(), admission });
    }

    /// The second call came to nothing.
    pub(in crate::chat) fn second_failed(&mut self, failure: &Failure) {
        if let Some(trace) = &mut self.trace {
            trace.second_failed(failure);
        }
        if let (Some(second), Some(healthy)) = (self.second.take(), failure.blames()) {
            second.admission.ended(healthy, Instant::now());
        }
    }

    /// The second call has an answer and takes the place of the first, which failed, or was `dropped`.
    pub(in crate::chat) fn overtaken(&mut self, dropped: bool) {
        let Some(Second { model, admission }) = self.second.take() else { return };
        if dropped {
            self.count_dropped(self.prices);
        }
        if let Some(trace) = &mut self.trace {
            trace.overtaken();
        }
        self.take_up(&model, admission);
    }

    /// The first call has an answer; a second one, if there still is one, is dropped. Whether there was.
    pub(in crate::chat) fn drop_second(&mut self) -> bool {
        let second = self.second.take();
        if let Some(second) = &second {
            if let Some(trace) = &mut self.trace {
                trace.drop_second();
            }
            self.count_dropped(second.model.prices.at(self.decided));
        }
        second.is_some()
    }

    fn count_dropped(&mut self, prices: Prices) {
        self.dropped.tokens += self.input_tokens;
        self.dropped.usd += prices.list().cost(self.input_tokens, 0.0);
    }
}
