//! Changes of labels.

/// How the label of one decision changed: the mean rating of its raters before and after, `None` for unlabelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Before.
    pub old: Option<f64>,
    /// After.
    pub new: Option<f64>,
}
