//! Policies: from predictions to a probability vector over the zoo.

mod any;
mod certified;
mod fixed;
mod interface;
mod slarouter;
mod spec;

pub use any::AnyPolicy;
pub(crate) use any::{FirstPolicy, SecondPolicy};
pub use certified::grounds::Grounds;
pub use certified::{Certified, CertifiedParams, HIGHEST_FLOOR, Predictor, Window};
pub use fixed::Fixed;
pub use interface::{Believed, Judged, Label, Policy, View};
pub use slarouter::{SlaRouter, SlaRouterParams};
pub use spec::PolicySpec;
