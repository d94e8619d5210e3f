//! Contenders: everything that the comparison can put to the test.

mod best_single;
mod carrot;
pub(crate) mod contender;
mod core_policy;
mod costs;
mod draws;
mod epsilon_greedy;
mod knn;
mod lagrangian;
mod lin_ucb;
mod mess_plus;
mod rival;
mod thompson;
mod threshold;
pub(crate) mod trained;

pub(crate) use best_single::BestSingle;
pub(crate) use carrot::Carrot;
pub(crate) use core_policy::CorePolicy;
pub(crate) use epsilon_greedy::EpsilonGreedy;
pub(crate) use knn::Knn;
pub(crate) use lin_ucb::LinUcb;
pub(crate) use mess_plus::MessPlus;
pub use rival::Rival;
pub(crate) use thompson::Thompson;
pub(crate) use threshold::Threshold;

/// Version of the baselines. Any change of what any of them does needs a new one, so that finished results are not taken over.
pub const VERSION: u32 = 1;
