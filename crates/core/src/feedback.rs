//! What comes back after a decision: the outcome of the call and the users' ratings.

use serde::{Deserialize, Serialize};

use crate::ObserveError;

/// Identifies one decision; the gateway uses the 128 bits of a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DecisionId(pub u128);

/// Milliseconds since the Unix epoch, or since the start of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

/// Who rated: a hash of the rater's name, 0 for "not said". A rater has one rating per decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rater(pub u64);

/// Whose word a label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A user's, who chose to rate.
    #[default]
    User,
    /// A trusted auditor's, of an answer that was drawn for audit: [`crate::AuditDraw`].
    Audit,
    /// A judge's verdict that is no label: it stands as the prediction of its answer, if there is a use for it.
    Judge,
}

/// How satisfied a user was, in \[0, 1\]; 1 is a thumb up.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rating(f64);

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<'a> {
    /// The model that answered, which after a reroute is not the one first chosen.
    pub model: &'a str,
    /// Whether the answer was delivered whole.
    pub ok: bool,
    /// Input tokens billed, if known.
    pub input_tokens: Option<f64>,
    /// Output tokens billed, if known.
    pub output_tokens: Option<f64>,
    /// USD charged.
    pub cost: f64,
    /// Whether the client had pinned the model; such calls stay out of the account.
    pub pinned: bool,
}

/// One rating, joined with the decision that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// The rated decision.
    pub decision: DecisionId,
    /// When that decision was made.
    pub decided_at: Timestamp,
    /// The model that answered.
    pub model: &'a str,
    /// Why it had been chosen.
    pub reason: crate::Reason,
    /// The features that decision was made from.
    pub features: &'a [f32],
    /// The satisfaction that was predicted at the decision, in \[0, 1\]: of the model then chosen ([`crate::Decision::choice`]), or
    /// of the one that took its place, if that was said by [`crate::Learner::rerouted`].
    pub predicted: f64,
    /// Whose word it is. Ratings and audits of one decision stand beside each other.
    pub source: Source,
    /// Who rates, or audits.
    pub rater: Rater,
    /// The rating; `None` withdraws an earlier one.
    pub rating: Option<Rating>,
    /// Position in the order in which ratings were given (the log's sequence number). Of several ratings by one rater on one
    /// decision, the one with the highest order counts, in whatever order they arrive.
    pub order: u64,
}

/// What became of a rating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Receipt {
    /// Counted.
    Recorded,
    /// Says what was already known, or is older than it: nothing changed.
    Duplicate,
    /// Took the place of an earlier rating by the same rater.
    Replaced,
    /// Took an earlier rating back.
    Withdrawn,
    /// Came after the feedback window of its decision had closed: kept in the log, not learnt from.
    Expired,
}

// === impl Rater ===

impl Rater {
    /// A model that judges answers in the gateway's name, as auditor or beside the labels. No hash of a name comes to so small a number,
    /// except by a chance of one in 10¹⁹.
    pub const JUDGE: Self = Self(2);
}

// === impl Source ===

impl Source {
    /// The word for requests and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Audit => "audit",
            Self::Judge => "judge",
        }
    }

    /// The inverse of [`Source::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Audit, Self::Judge].into_iter().find(|source| source.as_str() == word)
    }
}

// === impl Rating ===

impl Rating {
    /// # Errors
    /// [`ObserveError::Rating`] unless `0 <= value <= 1` (NaN is refused too).
    pub fn new(value: f64) -> Result<Self, ObserveError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(ObserveError::Rating(value)) }
    }

    /// The value, in \[0, 1\].
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rating {
    type Error = ObserveError;
    fn try_from(value: f64) -> Result<Self, ObserveError> {
        Self::new(value)
    }
}

impl From<Rating> for f64 {
    fn from(rating: Rating) -> f64 {
        rating.0
    }
}

// === impl Receipt ===

impl Receipt {
    /// What a new rating does to the one in force; the one rule that store and ledger share.
    #[must_use]
    pub fn of(held: Option<Rating>, given: Option<Rating>) -> Self {
        match (held, given) {
            (held, given) if held == given => Self::Duplicate,
            (None, Some(_)) => Self::Recorded,
            (Some(_), Some(_)) => Self::Replaced,
            (Some(_) | None, None) => Self::Withdrawn,
        }
    }

    /// The word for replies, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// The inverse of [`Receipt::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Recorded, Self::Duplicate, Self::Replaced, Self::Withdrawn, Self::Expired];
        all.into_iter().find(|receipt| receipt.as_str() == word)
    }
}
