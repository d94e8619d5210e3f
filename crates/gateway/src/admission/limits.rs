//! How much a key or tenant may ask and spend.
//!
//! What a request may cost at most is reserved before it goes out, and settled with what it did cost: requests at the same time
//! cannot all pass a check that only one of them should.

mod bucket;
mod budget;
mod hold;
mod meter;
mod raters;

pub(crate) use hold::{Hold, Spent, admit, describe};
pub(crate) use meter::{Estimate, Meter, Meters};
pub(crate) use raters::Raters;
