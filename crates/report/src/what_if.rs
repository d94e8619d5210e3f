//! What another α, price, model or policy would have come to, by the log of what ran.
//!
//! The log is read twice: for what came of each decision, and then decision by decision, so that memory goes with the answers alone.

mod answer;
mod error;
mod fates;
mod frontier;
mod plot;
mod prices;
mod question;

pub use answer::{WhatIf, what_if};
pub use error::WhatIfError;
pub use frontier::Point;
pub use plot::plot;
pub use question::{NewPrice, Question};
