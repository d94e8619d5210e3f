//! The list of decisions, and one of them.

use askama::Template;

use crate::Frame;

/// A page of the list.
#[derive(Debug, Template)]
#[template(path = "decisions.html")]
pub struct DecisionList<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// Routes to filter by, and which one is.
    pub routes: Vec<(String, bool)>,
    /// Models to filter by, and which one is.
    pub models: Vec<(String, bool)>,
    /// Reasons to filter by, and which one is.
    pub reasons: Vec<(String, bool)>,
    /// Newest first.
    pub lines: Vec<DecisionRow>,
    /// The same as CSV, from the newest one on.
    pub csv: String,
    /// The first page, if this is another one.
    pub newest: Option<String>,
    /// The next page.
    pub older: Option<String>,
}

/// A decision in the list.
#[derive(Debug)]
pub struct DecisionRow {
    /// Its own page.
    pub href: String,
    /// When it was made, in RFC 3339.
    pub time: String,
    /// The same for people.
    pub shown: String,
    /// The route.
    pub route: String,
    /// The model that answered.
    pub model: String,
    /// The model chosen, if another one answered.
    pub instead_of: Option<String>,
    /// Why it was chosen.
    pub reason: &'static str,
    /// Predicted satisfaction.
    pub predicted: String,
    /// What was charged.
    pub cost: String,
    /// HTTP status.
    pub status: String,
    /// How long it took.
    pub took: String,
    /// The mean of its users' ratings in force.
    pub rating: String,
}

/// One decision, explained.
#[derive(Debug, Template)]
#[template(path = "decision.html")]
pub struct DecisionView<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// Its id.
    pub id: &'a str,
    /// The model chosen.
    pub chosen: &'a str,
    /// What happened, in words.
    pub sentence: &'a str,
    /// Each model of the route.
    pub candidates: Vec<CandidateRow>,
    /// What else is known of it.
    pub groups: Vec<FactGroup>,
    /// All words on it.
    pub words: Vec<WordRow>,
}

/// A model as the decision saw it.
#[derive(Debug)]
pub struct CandidateRow {
    /// Its name.
    pub model: String,
    /// Whether it was chosen.
    pub is_chosen: bool,
    /// With which it was to be chosen.
    pub probability: String,
    /// Predicted satisfaction, with its error where it is known.
    pub satisfaction: String,
    /// Predicted cost.
    pub cost: String,
    /// What would have made it the best one.
    pub would_win: String,
}

/// Figures that belong together.
#[derive(Debug)]
pub struct FactGroup {
    /// What they are of.
    pub name: &'static str,
    /// Figures by name.
    pub facts: Vec<(&'static str, String)>,
    /// What is to be said of them.
    pub note: Option<String>,
}

/// A rating or an audit.
#[derive(Debug)]
pub struct WordRow {
    /// When it was given.
    pub time: String,
    /// Whose word it is.
    pub source: &'static str,
    /// The rating.
    pub rating: String,
    /// What became of it.
    pub receipt: &'static str,
    /// In the rater's words.
    pub comment: String,
}
