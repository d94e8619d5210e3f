//! What another policy would have come to, from the log of the one that ran: estimates of satisfaction and cost, each with an interval that
//! holds at every time at once, also where the policy that ran learnt from the same labels.
//!
//! Nothing is refitted: the predictions that steady the estimates are those that were logged with the decisions, before there was a label.
//! What is assumed and why the intervals hold is in `docs/what-if.md`.

mod estimate;
mod evaluation;
mod evidence;
mod rates;
mod sums;
mod target;
mod verdict;

pub use estimate::{Estimate, Evaluated};
pub use evaluation::{Evaluation, Heard, Logged};
pub use target::Target;
pub use verdict::{Refusal, Verdict};
