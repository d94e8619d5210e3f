//! What a request may use and cost at most, before any model is asked.

use super::{Target, model};
use crate::app::App;
use crate::config::Model;
use crate::limits::Estimate;
use crate::protocol::Endpoint;
use crate::wire::request::Request;

/// More answers or tokens than this nobody means; infinitely many times none would be no number, and no limit.
const MOST: f64 = 1e9;

/// How long the client lets the answer be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AnswerLength {
    /// There is none: an embedding, or a decision alone.
    None,
    /// So many answers of at most so many tokens each; as the model has it where the client does not say.
    UpTo { answers: f64, tokens: Option<f64> },
}

/// The most that any model in question may take. Tokens of the question are an estimate themselves.
pub(super) fn estimate(app: &App, target: &Target<'_>, input: f64, answer: AnswerLength) -> Estimate {
    let mut estimate = Estimate { input, ..Estimate::default() };
    let now = app.clock.now();
    let mut add = |model: &Model| {
        let output = match answer {
            AnswerLength::None => 0.0,
            AnswerLength::UpTo { answers, tokens } => answers * tokens.unwrap_or(model.max_output_tokens as f64),
        };
        estimate.output = estimate.output.max(output);
        estimate.usd = estimate.usd.max(model.prices.at(now).most(input, output));
    };
    match target {
        Target::Model(model) => add(model),
        Target::Route(route) => {
            let zoo = app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default();
            zoo.iter().filter_map(|spec| model(app, &spec.name)).for_each(add);
        }
    }
    estimate.open_end = matches!(answer, AnswerLength::UpTo { tokens: None, .. });
    estimate
}

impl Request {
    /// How long the client lets the answer be: the longest of what it says, as upstreams differ in which name they read.
    pub(crate) fn answer_length(&self) -> AnswerLength {
        let number = |name: &str| {
            let number = self.member(name)?.parse::<f64>().ok()?;
            (number >= 0.0).then_some(number.min(MOST))
        };
        let most = |names: &[&'static str]| names.iter().filter_map(|name| number(name)).reduce(f64::max);
        let (tokens, answers) = match self.endpoint() {
            Endpoint::Embeddings => return AnswerLength::None,
            Endpoint::Chat => (most(&["max_tokens", "max_completion_tokens"]), most(&["n"])),
            Endpoint::Completions => (most(&["max_tokens"]), most(&["n", "best_of"])),
            Endpoint::Messages => (most(&["max_tokens"]), None),
            Endpoint::Responses => (most(&["max_output_tokens"]), None),
        };
        AnswerLength::UpTo { answers: answers.unwrap_or(1.0).max(1.0), tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_word_of_the_client_counts() {
        for (endpoint, members, answers, tokens) in [
            (Endpoint::Chat, "", 1.0, None),
            (Endpoint::Chat, r#","max_tokens":5"#, 1.0, Some(5.0)),
            (Endpoint::Chat, r#","max_tokens":5,"max_completion_tokens":70,"n":3"#, 3.0, Some(70.0)),
            (Endpoint::Chat, r#","max_tokens":1e3,"n":0"#, 1.0, Some(1_000.0)),
            (Endpoint::Chat, r#","max_tokens":0,"n":1e999"#, 1e9, Some(0.0)),
            (Endpoint::Chat, r#","max_tokens":null"#, 1.0, None),
            (Endpoint::Chat, r#","max_tokens":-1"#, 1.0, None),
            (Endpoint::Messages, r#","max_tokens":9"#, 1.0, Some(9.0)),
            (Endpoint::Responses, r#","max_output_tokens":8,"max_tokens":99"#, 1.0, Some(8.0)),
        ] {
            let question = endpoint.question();
            let body = format!(r#"{{"model":"m","{question}":[{{"role":"user","content":"x"}}]{members}}}"#);
            let request = Request::parse(endpoint, body.into()).unwrap();
            assert_eq!(request.answer_length(), AnswerLength::UpTo { answers, tokens }, "{members}");
        }
    }
}
