//! What is summed of requests and ratings.

use std::ops::AddAssign;

/// Says each sum once: as a field of [`Totals`] and as a column of the table `rollups`.
macro_rules! sums {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Sums over requests that have ended and ratings that are in force. Whole numbers all, so that they are exact in whatever order they
        /// are added. Each counts at the time of its decision.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: i64,)*
        }

        /// The columns of the sums, in the order of [`Totals::values`].
        pub(crate) const COLUMNS: &[&str] = &[$(stringify!($name)),*];

        impl Totals {
            /// The sums in the order of [`COLUMNS`].
            pub(crate) fn values(&self) -> [i64; COLUMNS.len()] {
                [$(self.$name),*]
            }

            /// From sums in that order.
            pub(crate) fn of([$($name),*]: [i64; COLUMNS.len()]) -> Self {
                Self { $($name),* }
            }

            /// Names and values, for tables and files.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, i64)> {
                COLUMNS.iter().copied().zip(self.values())
            }
        }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

sums! {
    /// Requests that have ended.
    requests,
    /// Those of them whose clients named the model.
    pinned,
    /// Those that got no whole answer, not by their clients' doing.
    errors,
    /// Those whose clients went away.
    cancelled,
    /// Those for which another model was asked in the end than the chosen one.
    rerouted,
    /// Those whose model was drawn to learn.
    explored,
    /// Those that were left to the fallback.
    fallbacks,
    /// Input tokens, where the provider told them.
    input_tokens,
    /// Those of them that came from its cache.
    cached_tokens,
    /// Output tokens.
    output_tokens,
    /// Charged, in 10⁻⁹ USD.
    cost_nano,
    /// What the fallback was predicted to cost for the same requests, in 10⁻⁹ USD; what was charged where nothing could be saved: for pinned
    /// requests, those that got no whole answer, and those that the fallback could not take.
    baseline_nano,
    /// What has to be added to it by what the fallback really cost where it was drawn, over its propensity: with it the baseline is
    /// doubly robust.
    correction_nano,
    /// Requests for which the fallback could have been drawn: for the others the baseline is a prediction alone.
    supported,
    /// Requests for which it was drawn.
    checked,
    /// Predicted satisfaction of the models that answered, in 10⁻⁶; without pinned requests.
    predicted_micro,
    /// Predicted satisfaction of the fallback for the same requests, in 10⁻⁶.
    fallback_predicted_micro,
    /// Ratings of users in force, each rater's own.
    ratings,
    /// Those of them above ½.
    up,
    /// Those of them below ½.
    down,
    /// Their sum, in 10⁻⁶.
    rating_micro,
    /// Audits in force.
    audits,
    /// Their sum, in 10⁻⁶.
    audit_micro,
    /// Requests of a route that was only observed.
    observed,
    /// What the fallback alone would have cost for them, as it is estimated, in 10⁻⁹ USD.
    observed_baseline_nano,
    /// What the plan was predicted to save of that, in 10⁻⁹ USD.
    plan_saving_nano,
    /// What has to be added to it by what was really charged, over the propensities: with it the saving is doubly robust.
    plan_correction_nano,
    /// Share of the plan that could have been drawn, in 10⁻⁶: for the rest predictions alone speak.
    plan_supported_micro,
    /// Predicted satisfaction of the plan, in 10⁻⁶.
    plan_predicted_micro,
    /// Ratings of answers of an observed route, or audits where answers are drawn for audit.
    plan_labels,
    /// Those of them of other models than the fallback.
    plan_tried,
    /// By how much they were above what was predicted, each by how much likelier it was planned than drawn, in 10⁻⁶.
    plan_label_micro,
}

impl Totals {
    /// USD charged.
    #[must_use]
    pub fn cost_usd(&self) -> f64 {
        self.cost_nano as f64 * 1e-9
    }

    /// USD that the fallback would have cost, as it is estimated.
    #[must_use]
    pub fn baseline_usd(&self) -> f64 {
        self.baseline_nano.saturating_add(self.correction_nano) as f64 * 1e-9
    }

    /// USD that the plan of an observed route would have cost, as it is estimated; `None` where nothing was observed.
    #[must_use]
    pub fn plan_usd(&self) -> Option<f64> {
        let saved = self.plan_saving_nano.saturating_add(self.plan_correction_nano);
        (self.observed > 0).then(|| self.observed_baseline_nano.saturating_sub(saved) as f64 * 1e-9)
    }

    /// Mean of the ratings in force; `None` without any.
    #[must_use]
    pub fn satisfaction(&self) -> Option<f64> {
        (self.ratings > 0).then(|| self.rating_micro as f64 * 1e-6 / self.ratings as f64)
    }
}

/// In 10⁻⁹ USD.
pub(crate) fn nano(usd: f64) -> i64 {
    (usd * 1e9).round() as i64
}

/// In 10⁻⁶.
pub(crate) fn micro(share: f64) -> i64 {
    (share * 1e6).round() as i64
}
