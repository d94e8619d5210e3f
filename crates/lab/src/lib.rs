//! Replay of recorded outcomes, references, simulated models and users.
//!
//! A replay runs the same [`slarouter_core::Learner`] that production runs, over rows that say what every model would have
//! scored and cost. The policy sees the prompt and the price list, and after its choice, with probability φ, the score of the
//! model it chose; nothing else.

mod baseline;
mod compare;
mod course;
mod dataset;
mod draw;
mod error;
mod labelled;
mod parallel;
mod reference;
mod replay;
pub mod simulate;

pub use baseline::{Rival, VERSION as BASELINES_VERSION};
pub use compare::{
    CellReport, Comparison, FRACTIONS, Figures, Fresh, KEEPS, MOST_ROWS, Pass, Plan, Point, Progress, RATES, Ratio,
    Row, SEEDS, STARVED, Scope, Standing, Verdict, ZooKind,
};
pub use course::Order;
pub use dataset::{DataError, Dataset, Selection};
pub use error::CompareError;
pub use labelled::Labelled;
pub use reference::{Frontier, Mixture, References};
pub use replay::{Mean, Replay, ReplayError, Report, Run};
pub use slarouter_text::{LocalEncoder, LocalError};
