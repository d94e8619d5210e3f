//! The pages of the dashboard: plain structs in, HTML out, and the files that the pages load. No I/O.
//!
//! What clients wrote (names, ids, comments) is text: the templates escape every value.

mod assets;
mod decisions;
mod frame;
mod gauge;
mod overview;
mod route;
mod state;
mod words;

pub use askama::{Error, Template};
pub use assets::{Asset, asset};
pub use decisions::{CandidateRow, DecisionList, DecisionRow, DecisionView, FactGroup, WordRow};
pub use frame::{Frame, Login, Playground, Problem};
pub use gauge::Gauge;
pub use overview::{Overview, RouteCard};
pub use route::{Chart, MarkRow, ModelRow, ObservedCard, RouteView, Signal, TenthRow, Tile, UpstreamRow};
pub use state::Badge;
pub use words::{Claim, budget, sentence};
