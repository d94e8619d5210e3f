//! What is learnt from the log: the state of all routes, and the task that keeps it up to date.
//!
//! No HTTP here: `slarouter verify` learns with it as the gateway does.

mod changes;
mod explain;
mod fork;
mod last_hour;
mod learning;
mod logged_route;
mod publisher;
mod replay;
mod rollups;
mod sla;
mod snapshot;
mod task;
mod unreadable;
mod warm;

pub use changes::changes;
pub use explain::{ExplainedCandidate, ExplainedOutcome, Explanation, Replay, Then, Word, WouldWin, explain};
pub use fork::{ForkedRoute, fork};
pub use last_hour::LastHour;
pub use learning::{Learning, LearningError, SavedStates};
pub use logged_route::{LogRouteError, LoggedRoute};
pub use publisher::Publisher;
pub use replay::{Progress, replay};
pub use sla::SlaWatch;
pub use snapshot::Snapshot;
pub use task::{LearnerTask, watched};
pub use unreadable::{Unreadable, UnreadableRow};
pub use warm::{FeaturesId, WarmStart, WarmStartError, first_belief};
