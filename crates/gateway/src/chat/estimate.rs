//! What a request may use and cost at most, before any model is asked.

use slarouter_config::Model;
use slarouter_core::CostModel;
use slarouter_protocol::Usage;
use slarouter_protocol::request::AnswerLength;

use crate::admission::limits::Estimate;
use crate::app::App;
use crate::lookup::{Target, model};

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

/// Whether one request can have so many tokens; others would spoil what is learnt of costs.
pub(crate) fn is_plausible(usage: &Usage) -> bool {
    usage.is_within(CostModel::MAX_INPUT_TOKENS, CostModel::MAX_OUTPUT_TOKENS)
}
