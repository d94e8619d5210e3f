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
mod terms;
mod windows;

pub use baseline::{Rival, VERSION as BASELINES_VERSION};
pub use compare::{
    CellReport, Comparison, FRACTIONS, Figures, Fresh, Harm, KEEPS, MOST_ROWS, Margin, Pass, Plan, Point, Progress,
    RATES, Ratio, Row, SEEDS, STARVED, STEADY, Scope, Standing, Stream, Verdict, WindowFigures, ZooKind,
};
pub use course::Order;
pub use dataset::{DataError, Dataset, Selection};
pub use error::CompareError;
pub use labelled::Labelled;
pub use reference::{Frontier, Mixture, References};
pub use replay::{Mean, Replay, ReplayError, Report, Run, WindowMean};
pub use slarouter_text::{LocalEncoder, LocalError};
pub use terms::Fallback;
pub use windows::WindowRun;
