//! Simulated models and users: a world in which the truth is known.

use slarouter_core::{DecisionId, ModelSpec, Price, SpecError, Zoo, decision_rng, uniform};

/// Kinds of prompts; models differ in which they can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small talk and simple questions.
    Chat,
    /// Summaries.
    Summary,
    /// Pulling data out of text.
    Extraction,
    /// Programming.
    Code,
    /// Mathematics.
    Maths,
}

/// A simulated model.
#[derive(Clone, Debug)]
pub struct SimModel {
    /// Its name.
    pub name: &'static str,
    /// USD per million tokens.
    pub price: Price,
    /// Probability of satisfying, per [`Kind`] in its order.
    pub skill: [f64; 5],
    /// Mean tokens of an answer.
    pub output_tokens: f64,
    /// Milliseconds to the first token.
    pub first_token_ms: u64,
}

/// A prompt of a simulated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What it is about; the router does not get to see this.
    pub kind: Kind,
    /// Its text.
    pub text: String,
}

/// A world that is the same for the same seed: request n has one prompt, and each model one answer to it.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    models: Vec<SimModel>,
}

/// What a model makes of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Whether it satisfies.
    pub satisfies: bool,
    /// Its length.
    pub output_tokens: u32,
}

/// How often the judge is wrong.
const JUDGE_ERRS: f64 = 0.1;

const KINDS: [Kind; 5] = [Kind::Chat, Kind::Summary, Kind::Extraction, Kind::Code, Kind::Maths];

const TOPICS: [&str; 12] = [
    "the harbour",
    "our new office",
    "a train journey",
    "the annual report",
    "a garden in spring",
    "the data centre",
    "a chess tournament",
    "the river valley",
    "a bakery in Lyon",
    "the museum",
    "a broken bicycle",
    "the night shift",
];

impl World {
    /// The demo's world: four models, each dearer and better than the one before. The small one is good at easy kinds and
    /// bad at code and mathematics, so that looking at the prompt pays.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let model = |name, input, output, skill, output_tokens, first_token_ms| SimModel {
            name,
            price: Price { input, output },
            skill,
            output_tokens,
            first_token_ms,
        };
        let models = vec![
            model("small", 0.1, 0.4, [0.95, 0.92, 0.93, 0.45, 0.35], 180.0, 10),
            model("medium", 0.5, 1.5, [0.96, 0.95, 0.95, 0.75, 0.65], 200.0, 20),
            model("large", 3.0, 15.0, [0.97, 0.96, 0.97, 0.93, 0.90], 220.0, 30),
            model("frontier", 15.0, 60.0, [0.98, 0.97, 0.98, 0.96, 0.95], 260.0, 50),
        ];
        Self { seed, models }
    }

    /// Two models, the small one at a tenth of the large one's price. As [`Raters::erring`] see them they satisfy 0.80 and 0.94;
    /// looking at the prompt pays more than twice as much as a mixture does.
    #[must_use]
    pub fn pair(seed: u64) -> Self {
        let model = |name, price, skill| SimModel {
            name,
            price: Price { input: price, output: price },
            skill,
            output_tokens: 200.0,
            first_token_ms: 20,
        };
        let models = vec![
            model("small", 1.0, [0.92, 0.92, 0.92, 0.72, 0.59]),
            model("large", 10.0, [0.98, 0.98, 0.98, 0.95, 0.95]),
        ];
        Self { seed, models }
    }

    /// The models, cheapest first.
    #[must_use]
    pub fn models(&self) -> &[SimModel] {
        &self.models
    }

    /// The models as a route has them.
    ///
    /// # Errors
    /// Those of [`Zoo::new`], which the worlds here do not meet.
    pub fn zoo(&self) -> Result<Zoo, SpecError> {
        Zoo::new(self.models.iter().map(|model| ModelSpec::new(model.name, model.price)).collect())
    }

    /// Place of a model.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model.name == name)
    }

    /// The prompt of request `n`.
    #[must_use]
    pub fn prompt(&self, n: u64) -> Prompt {
        let mut rng = decision_rng(self.seed, DecisionId(u128::from(n)));
        let mut below = |count: usize| (uniform(&mut rng) * count as f64) as usize;
        let kind = KINDS[below(KINDS.len())];
        let (topic, other, number) = (TOPICS[below(TOPICS.len())], TOPICS[below(TOPICS.len())], 2 + below(97));
        let form = below(3);
        let text = match (kind, form) {
            (Kind::Chat, 0) => format!("Hi! What do you like about {topic}?"),
            (Kind::Chat, 1) => format!("Good morning, could you suggest a name for {topic}?"),
            (Kind::Chat, _) => format!("Thanks! And what would you tell a friend about {topic}?"),
            (Kind::Summary, 0) => format!("Summarise in {number} words: the meeting was about {topic} and {other}."),
            (Kind::Summary, 1) => format!("Give me a short summary of this note on {topic}, then one on {other}."),
            (Kind::Summary, _) => format!("TL;DR please: a long e-mail about {topic}, with a remark on {other}."),
            (Kind::Extraction, 0) => format!("Extract all names and dates as JSON from this text about {topic}."),
            (Kind::Extraction, 1) => {
                format!("List the invoice numbers in: order {number}-A, {topic}; order 7, {other}.")
            }
            (Kind::Extraction, _) => format!("Which city and which person does this sentence on {topic} mention?"),
            (Kind::Code, 0) => {
                format!("Write a Rust function `fn solve(n: u64) -> u64` for {number} items; add tests.")
            }
            (Kind::Code, 1) => {
                format!("Fix this:\n```python\ndef f(x):\n    return x[{number}]\n```\nIt raises IndexError.")
            }
            (Kind::Code, _) => format!("Refactor the class that models {topic}; return a diff with `import` fixed."),
            (Kind::Maths, 0) => format!("Solve x^2 - {number}x + 7 = 0 and prove that both roots are real."),
            (Kind::Maths, 1) => format!("Compute $\\frac{{{number}!}}{{3!}}$ modulo 101, step by step."),
            (Kind::Maths, _) => format!("How many ways are there to seat {number} guests = 2k at two round tables?"),
        };
        Prompt { kind, text }
    }

    /// The answer of the model at place `model` to request `n`.
    #[must_use]
    pub fn answer(&self, n: u64, model: usize) -> Answer {
        let kind = self.prompt(n).kind;
        let stream = DecisionId((u128::from(n) << 8 | model as u128) | 1 << 100);
        let mut rng = decision_rng(self.seed, stream);
        let model = &self.models[model];
        let satisfies = uniform(&mut rng) < model.skill[kind as usize];
        let output_tokens = (model.output_tokens * (0.5 + uniform(&mut rng))) as u32;
        Answer { satisfies, output_tokens }
    }

    /// Whether a judge that errs on one answer in ten, as people see it, approves of the answer to a conversation, of which it knows a hash of both
    /// and what people would say: on the same it says the same.
    #[must_use]
    pub fn approves(&self, hash: u64, satisfies: bool) -> bool {
        let mut rng = decision_rng(self.seed, DecisionId(u128::from(hash) | 1 << 103));
        satisfies != (uniform(&mut rng) < JUDGE_ERRS)
    }

    /// Whether the user of request `n` rates it, at rate φ, and after how long at most `longest_ms`.
    #[must_use]
    pub fn rates(&self, n: u64, feedback_rate: f64, longest_ms: u64) -> Option<u64> {
        let mut rng = decision_rng(self.seed, DecisionId(u128::from(n) | 1 << 101));
        (uniform(&mut rng) < feedback_rate).then(|| (uniform(&mut rng) * longest_ms as f64) as u64)
    }
}

/// Users who err: how often they give a thumb up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Raters {
    /// On answers that satisfy.
    pub good: f64,
    /// On others.
    pub bad: f64,
}

impl Raters {
    /// 97 % up on good answers, 5 % on bad ones.
    #[must_use]
    pub fn erring() -> Self {
        Self { good: 0.97, bad: 0.05 }
    }

    /// Whether the user of request `n` gives the answer of the model at place `model` a thumb up.
    #[must_use]
    pub fn like(&self, world: &World, n: u64, model: usize) -> bool {
        let stream = DecisionId((u128::from(n) << 8 | model as u128) | 1 << 102);
        let up = if world.answer(n, model).satisfies { self.good } else { self.bad };
        uniform(&mut decision_rng(world.seed, stream)) < up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_world() {
        let (a, b, c) = (World::new(1), World::new(1), World::new(2));
        let differs = |n| a.prompt(n) != c.prompt(n);
        assert!((0..50).all(|n| a.prompt(n) == b.prompt(n) && a.answer(n, 3) == b.answer(n, 3)));
        assert!((0..50).any(differs));
    }

    #[test]
    fn frequencies_are_the_stated_ones() {
        let world = World::new(3);
        let n = 20_000;
        // Hoeffding: each of the 20 frequencies is off by more than this with probability below 1e-9.
        let bound = |count: f64| (2e9_f64.ln() / (2.0 * count)).sqrt();
        for (place, model) in world.models().iter().enumerate() {
            let mut seen = [(0.0, 0.0); 5];
            for request in 0..n {
                let (count, satisfied) = &mut seen[world.prompt(request).kind as usize];
                *count += 1.0;
                *satisfied += f64::from(u8::from(world.answer(request, place).satisfies));
            }
            for (kind, (count, satisfied)) in seen.into_iter().enumerate() {
                assert!((satisfied / count - model.skill[kind]).abs() < bound(count), "{} {kind}", model.name);
            }
        }
        let rated = (0..n).filter(|&request| world.rates(request, 0.1, 100).is_some()).count() as f64;
        assert!((rated / n as f64 - 0.1).abs() < bound(n as f64));
    }
}
