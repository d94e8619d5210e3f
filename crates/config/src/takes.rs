//! What a model can take, as far as that is known.

use slarouter_protocol::dialect::Dialect;
use slarouter_protocol::needs::Need;

/// What a model can take. `None` stands for what is not known, which excludes it from nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Most tokens of question and answer together.
    pub context_tokens: Option<u64>,
    /// Most tokens of an answer.
    pub output_tokens: Option<u64>,
    /// What it reads beside text.
    pub input: Option<Vec<Need>>,
    /// What it answers in beside text.
    pub output: Option<Vec<Need>>,
    /// Whether it calls tools.
    pub tools: Option<bool>,
    /// Whether it answers in a given JSON schema.
    pub schema: Option<bool>,
    /// Whether it can be told how much to reason.
    pub reasoning: Option<bool>,
    /// The words that its server knows, where it speaks the chat protocol.
    pub dialect: Dialect,
}

// === impl Takes ===

impl Takes {
    /// These, and those of `other` where they are not known.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            context_tokens: self.context_tokens.or(other.context_tokens),
            output_tokens: self.output_tokens.or(other.output_tokens),
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            tools: self.tools.or(other.tools),
            schema: self.schema.or(other.schema),
            reasoning: self.reasoning.or(other.reasoning),
            dialect: self.dialect.or(other.dialect),
        }
    }

    /// What it reads, in the words of the configuration.
    #[must_use]
    pub fn input_words(&self) -> Option<Vec<&'static str>> {
        self.input.as_deref().map(|held| words(held, &READS))
    }

    /// What it answers in, likewise.
    #[must_use]
    pub fn output_words(&self) -> Option<Vec<&'static str>> {
        self.output.as_deref().map(|held| words(held, &WRITES))
    }

    /// The first of `needs` that it is known to lack.
    #[must_use]
    pub fn lacks(&self, needs: &[Need]) -> Option<Need> {
        let without = |held: &Option<Vec<Need>>, need: &Need| held.as_ref().is_some_and(|held| !held.contains(need));
        needs.iter().copied().find(|need| match need {
            Need::Image | Need::Audio | Need::File | Need::Video => without(&self.input, need),
            Need::Speech | Need::Picture => without(&self.output, need),
            Need::Tools => self.tools == Some(false),
            Need::Schema => self.schema == Some(false),
        })
    }
}

/// The words of the configuration for what a model reads and for what it answers in, beside text.
const READS: [(&str, Need); 4] =
    [("image", Need::Image), ("audio", Need::Audio), ("file", Need::File), ("video", Need::Video)];
const WRITES: [(&str, Need); 2] = [("image", Need::Picture), ("audio", Need::Speech)];
/// Every model reads and writes it.
const TEXT: &str = "text";

/// What a model reads, by its word in the configuration: `Some(None)` for text, `None` for a word that is none.
pub(crate) fn reads(word: &str) -> Option<Option<Need>> {
    kind(word, &READS)
}

/// What a model answers in, likewise.
pub(crate) fn writes(word: &str) -> Option<Option<Need>> {
    kind(word, &WRITES)
}

fn kind(word: &str, known: &[(&str, Need)]) -> Option<Option<Need>> {
    let held = known.iter().find(|(name, _)| *name == word).map(|(_, need)| Some(*need));
    held.or((word == TEXT).then_some(None))
}

fn words(held: &[Need], known: &[(&'static str, Need)]) -> Vec<&'static str> {
    let named = known.iter().filter(|(_, need)| held.contains(need)).map(|(word, _)| *word);
    [TEXT].into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_excludes_from_nothing_and_what_is_known_wins() {
        let all = [Need::Image, Need::Tools, Need::Schema, Need::Speech];
        assert_eq!(Takes::default().lacks(&all), None);
        let known = Takes { input: Some(vec![Need::File]), tools: Some(true), ..Takes::default() };
        assert_eq!((known.lacks(&all), known.lacks(&[Need::File, Need::Tools])), (Some(Need::Image), None));
        let own = Takes { tools: Some(false), output: Some(Vec::new()), ..Takes::default() }.or(known);
        assert_eq!(own.lacks(&[Need::Tools]), Some(Need::Tools));
        assert_eq!((own.lacks(&[Need::Speech]), own.lacks(&[Need::File])), (Some(Need::Speech), None));
    }
}
