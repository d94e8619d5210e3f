//! What the log says of a period: whether the promises were kept and how sure that is, what it cost and what was saved.
//!
//! A report is a pure function of the log up to one event, of the period and of the time zone, so that whoever has a copy of the log can make
//! it again. It says all three, and the hash of that log.

mod error;
mod events;
mod facts;
mod incident;
mod judge;
mod pages;
mod period;
mod promise;
mod verify;
mod what_if;

pub use error::ReportError;
pub use facts::{Bill, Day, Month, Report, Route, report};
pub use incident::Incident;
pub use pages::Format;
pub use period::{PeriodError, period};
pub use promise::{Promise, Verdict};
pub use verify::Terms;
pub use what_if::{NewPrice, Point, Question, WhatIf, WhatIfError, plot, what_if};
