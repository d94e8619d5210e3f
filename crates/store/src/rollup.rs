//! Sums of the log by time, route, model and payer, kept beside it, so that a view of many requests reads few rows.

mod calendar;
mod group;
mod observed;
mod saving;
mod selection;
mod span;
mod steps;
mod tally;
mod totals;

pub use calendar::Calendar;
pub(crate) use group::Group;
pub use observed::{Observed, observed};
pub use saving::{Saving, saving};
pub use selection::{Added, By, MINUTES_KEPT_MS, MOST_POINTS, Minute, Point, RouteCertificate, Row, Selection, Step};
pub(crate) use span::{DAY_MS, MINUTE_MS, QUARTER_MS, Span, pieces};
pub(crate) use steps::{Frame, calendar_of, minutes_from, still_kept};
pub(crate) use tally::{COUNTED_AT_ONCE, ParseCounted, Tally, ended, rated};
pub use totals::Totals;
pub(crate) use totals::{COLUMNS, micro, nano};
