//! The simulated model that judges answers: it reads the gateway's question and errs on one answer in ten.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};
use slarouter_core::Price;
use slarouter_lab::simulate::World;

/// Its name among the models.
pub(crate) const NAME: &str = "judge";
/// Share of the answers that it reads.
pub(crate) const RATE: f64 = 0.25;
const PRICE: Price = Price { input: 0.5, output: 1.5 };
/// Tokens of a verdict.
const TOKENS: u64 = 20;

/// Verdicts given, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Judged {
    pub(crate) verdicts: u64,
    /// USD.
    pub(crate) cost: f64,
}

/// What the configuration says of it. The verdicts of a step of simulated time wait for its end.
pub(crate) fn config(base_url: &str) -> String {
    format!(
        "[[models]]\nname = \"{NAME}\"\nbase_url = \"{base_url}\"\nprice = {{ input = {}, output = {} }}\n\
         [feedback.judge]\nmodel = \"{NAME}\"\nusd_per_day = 100\nrate = {RATE}\nqueue = 10000\n",
        PRICE.input, PRICE.output
    )
}

/// What it answers a request, with the usage; `None` if it is asked for no verdict.
pub(crate) fn answer(world: &World, request: &Value) -> Option<(String, Value)> {
    let (conversation, answer) = material(request["messages"][1]["content"].as_str()?)?;
    let satisfied = world.approves(hash(conversation, answer), answer.contains("good"));
    let reason = if satisfied { "It does what was asked." } else { "It does not do what was asked." };
    let prompt_tokens = request["messages"].to_string().len() as u64 / 4;
    let usage =
        json!({ "prompt_tokens": prompt_tokens, "completion_tokens": TOKENS, "total_tokens": prompt_tokens + TOKENS });
    Some((json!({ "reason": reason, "satisfied": satisfied }).to_string(), usage))
}

/// USD of a verdict with this usage.
pub(crate) fn cost(usage: &Value) -> f64 {
    PRICE.cost(usage["prompt_tokens"].as_f64().unwrap_or_default(), TOKENS as f64)
}

pub(crate) fn hash(conversation: &str, answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (conversation, answer).hash(&mut hasher);
    hasher.finish()
}

/// The conversation and the answer, each between two lines with the marker of the question.
fn material(question: &str) -> Option<(&str, &str)> {
    let (marker, _) = question.strip_prefix("<<CONVERSATION ")?.split_once(">>")?;
    let between = |what: &str| {
        let (_, rest) = question.split_once(&format!("<<{what} {marker}>>\n"))?;
        rest.split_once(&format!("\n<<END OF {what} {marker}>>")).map(|(text, _)| text)
    };
    Some((between("CONVERSATION")?, between("ANSWER")?))
}
