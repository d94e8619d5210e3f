//! Routing decisions and online learning under a satisfaction constraint.
//!
//! An operator states α, the share of answers that must satisfy the users. [`Router::decide`] picks a
//! model for each request; [`Learner::observe`] learns from the sparse feedback that comes back. The crate
//! does no I/O, asks no clock and owns no randomness: the caller passes the time and a generator in, so the
//! gateway and the lab run the very same code and a log replays bit for bit.
//!
//! The default policy, [`policy::Certified`], keeps α at least cost and says with a stated certainty whether it did.
//! [`policy::SlaRouter`] is an independent implementation of the algorithm of arXiv 2606.19376 (virtual queue,
//! drift-plus-penalty, decaying exploration).

mod account;
mod assurance;
mod audit;
mod certificate;
mod cost;
mod decision;
mod error;
mod feedback;
pub mod half;
mod head;
mod knowledge;
mod learner;
mod ledger;
mod numeric;
pub mod policy;
mod queue;
mod recent;
mod reliability;
mod rng;
mod route;
mod router;
mod state;
mod status;
mod thrift;
mod told;
mod verdicts;
pub mod what_if;
mod zoo;

pub use account::{Account, ModelAccount};
pub use assurance::{SatisfactionAccount, Span, Standing};
pub use audit::AuditDraw;
pub use certificate::Certificate;
pub use cost::{CostModel, told_usd};
pub use decision::{Candidate, Context, Decision, Reason, Saving};
pub use error::{DecideError, ObserveError, SpecError, StateError};
pub use feedback::{DecisionId, Feedback, Outcome, Rater, Rating, Receipt, Source, Timestamp};
pub use head::LogisticHead;
pub use knowledge::{Example, Knowledge};
pub use learner::Learner;
pub use ledger::{Change, Ledger};
pub use numeric::{dot, sigmoid};
pub use policy::{AnyPolicy, Policy, PolicySpec};
pub use queue::VirtualQueue;
pub use recent::{RECENT_WINDOWS, Recent, RecentWindow, burn_rate, exhaustion_seconds};
pub use reliability::Reliability;
pub use rng::{decision_rng, uniform};
pub use route::RouteSpec;
pub use router::Router;
pub use state::STATE_VERSION;
pub use status::{Evidence, Status};
pub use thrift::{Costs, Obstacle, Thrift};
pub use told::{told_count, told_money, told_percent, told_text};
pub use verdicts::Agreement;
pub use zoo::{Alpha, ModelSpec, Price, Zoo};
