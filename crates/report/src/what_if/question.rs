//! What can be asked.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use slarouter_core::{Alpha, PolicySpec, Price, RouteSpec, Timestamp};
use slarouter_store::Calendar;

use super::error::WhatIfError;

/// A question; with none of the four changes, it is about all prices of satisfaction.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    /// The route, `default` if left out.
    pub route: Option<Arc<str>>,
    /// The first day, as 2026-11-01, or a month, as 2026-11; all since the start if left out.
    pub from: Option<String>,
    /// The first day that is no longer in it, or a month likewise; all until now if left out.
    pub to: Option<String>,
    /// Another target.
    pub alpha: Option<f64>,
    /// A model less.
    pub without: Option<Arc<str>>,
    /// Another price of a model.
    pub price: Option<NewPrice>,
    /// Another policy: `random`, `cheapest`, `most-expensive` or `fixed:<model>`.
    pub policy: Option<String>,
}

/// Another price of a model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    /// Its name.
    pub model: Arc<str>,
    /// USD per million input tokens.
    pub input: f64,
    /// USD per million output tokens.
    pub output: f64,
}

/// What is to be otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Nothing: all prices of satisfaction are looked at.
    Nothing,
    Alpha(f64),
    Without(Arc<str>),
    Price(Arc<str>, Price),
    Policy(PolicySpec),
}

impl Question {
    pub(super) fn route(&self) -> &str {
        self.route.as_deref().unwrap_or("default")
    }

    pub(super) fn period(&self, calendar: &Calendar) -> Result<Range<Timestamp>, WhatIfError> {
        let moment = |key: &'static str, date: &Option<String>, open: u64| match date {
            None => Ok(Timestamp(open)),
            Some(date) => calendar.parse(date).ok_or_else(|| {
                let form = "must be a day from 1970 on, as in 2026-11-01, or a month, as in 2026-11";
                WhatIfError::question(key, format!("`{key}` {date:?} {form}"))
            }),
        };
        let (from, to) = (moment("from", &self.from, 0)?, moment("to", &self.to, u64::MAX)?);
        if from >= to {
            return Err(WhatIfError::question(
                "to",
                "`to` must be after `from`: it is the first day that is no longer in it",
            ));
        }
        Ok(from..to)
    }

    /// The one change that it asks for.
    pub(super) fn change(&self) -> Result<Change, WhatIfError> {
        let mut changes = Vec::new();
        if let Some(alpha) = self.alpha {
            let alpha = Alpha::new(alpha).map_err(|error| WhatIfError::question("alpha", error.to_string()))?;
            changes.push(Change::Alpha(alpha.get()));
        }
        changes.extend(self.without.clone().map(Change::Without));
        if let Some(NewPrice { model, input, output }) = &self.price {
            let (input, output) = (*input, *output);
            if !(Price::allows(input) && Price::allows(output)) {
                let message = format!("a price must be a number of USD per million tokens from 0 to {}", Price::MAX);
                return Err(WhatIfError::question("price", message));
            }
            changes.push(Change::Price(model.clone(), Price { input, output }));
        }
        if let Some(policy) = &self.policy {
            let policy =
                PolicySpec::parse(policy).map_err(|error| WhatIfError::question("policy", error.to_string()))?;
            changes.push(Change::Policy(policy));
        }
        match changes.len() {
            0 => Ok(Change::Nothing),
            1 => Ok(changes.remove(0)),
            _ => {
                Err(WhatIfError::question("", "ask for one change at a time: `alpha`, `without`, `price` or `policy`"))
            }
        }
    }
}

impl Change {
    /// As a point of the answer is called.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Alpha(alpha) => format!("α = {alpha}"),
            Self::Without(model) => format!("without {model}"),
            Self::Price(model, price) => format!("{model} at {}/{} USD", price.input, price.output),
            Self::Policy(policy) => policy.to_string(),
        }
    }

    /// Whether the log of this route can say anything of it.
    pub(super) fn check(&self, spec: &RouteSpec) -> Result<(), WhatIfError> {
        let known = |key: &'static str, model: &str| {
            let names: Vec<_> = spec.zoo.models().iter().map(|model| &*model.name).collect();
            if names.contains(&model) { Ok(()) } else { Err(unknown(key, model, &names)) }
        };
        match self {
            Self::Without(_) if spec.zoo.models().len() < 2 => {
                Err(WhatIfError::question("without", "the route has no other model"))
            }
            Self::Without(model) => known("without", model).and_then(|()| is_ranked(spec)),
            Self::Price(model, _) => known("price", model).and_then(|()| is_ranked(spec)),
            Self::Policy(PolicySpec::Fixed(model)) => known("policy", model),
            Self::Policy(PolicySpec::Certified(_) | PolicySpec::SlaRouter(_)) => Err(WhatIfError::Simulation(
                "what a policy would have learnt from answers that were never given is in no log: `slarouter replay` simulates it".to_owned(),
            )),
            Self::Nothing | Self::Alpha(_) | Self::Policy(_) => Ok(()),
        }
    }
}

/// Only `certified` logs how the candidates rank in USD.
fn is_ranked(spec: &RouteSpec) -> Result<(), WhatIfError> {
    if matches!(spec.policy, PolicySpec::Certified(_)) {
        return Ok(());
    }
    let message = format!(
        "the route's policy is {}, which ranks its models by no price: who would have taken over is not in the log; ask for `policy` instead",
        spec.policy
    );
    Err(WhatIfError::Simulation(message))
}

fn unknown(key: &'static str, model: &str, names: &[&str]) -> WhatIfError {
    let names = names.join(", ");
    if key == "policy" {
        return WhatIfError::Simulation(format!(
            "{model:?} is no model of this route ({names}), so no answer of it is in the log: `slarouter replay` simulates one, and a day in the route shows it"
        ));
    }
    WhatIfError::question(key, format!("{model:?} is no model of this route: it has {names}"))
}

#[cfg(test)]
mod tests {
    use slarouter_core::{ModelSpec, Zoo};

    use super::*;

    fn question(json: &str) -> Question {
        serde_json::from_str(json).unwrap()
    }

    fn spec() -> RouteSpec {
        let model = |name: &str| ModelSpec::new(name, Price { input: 1.0, output: 1.0 });
        let zoo = Zoo::new(vec![model("small"), model("large")]).unwrap();
        RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap())
    }

    #[test]
    fn one_change_is_asked_for() {
        for (json, change) in [
            ("{}", Change::Nothing),
            (r#"{"alpha": 0.8}"#, Change::Alpha(0.8)),
            (r#"{"without": "small"}"#, Change::Without("small".into())),
            (
                r#"{"price": {"model": "small", "input": 0, "output": 2.5}}"#,
                Change::Price("small".into(), Price { input: 0.0, output: 2.5 }),
            ),
            (r#"{"policy": "fixed:large"}"#, Change::Policy(PolicySpec::Fixed("large".to_owned()))),
        ] {
            let asked = question(json).change().unwrap();
            assert_eq!(asked, change);
            asked.check(&spec()).unwrap();
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (json, said) in [
            (r#"{"alpha": 1.5}"#, "1.5"),
            (r#"{"alpha": 0.8, "without": "small"}"#, "one change at a time"),
            (r#"{"price": {"model": "small", "input": -1, "output": 1}}"#, "from 0 to"),
            (r#"{"policy": "best"}"#, "best"),
        ] {
            let error = question(json).change().unwrap_err();
            assert!(error.to_string().contains(said), "{json}: {error}");
        }
        for (json, said) in [
            (r#"{"without": "none"}"#, "it has small, large"),
            (r#"{"policy": "fixed:new"}"#, "no answer of it is in the log"),
            (r#"{"policy": "certified"}"#, "in no log"),
        ] {
            let error = question(json).change().unwrap().check(&spec()).unwrap_err();
            assert!(error.to_string().contains(said), "{json}: {error}");
        }
        let random = RouteSpec { policy: PolicySpec::parse("random").unwrap(), ..spec() };
        for json in [r#"{"without": "small"}"#, r#"{"price": {"model": "small", "input": 1, "output": 1}}"#] {
            let error = question(json).change().unwrap().check(&random).unwrap_err();
            assert!(error.to_string().contains("the route's policy is random"), "{json}: {error}");
        }
        assert!(serde_json::from_str::<Question>(r#"{"alhpa": 0.8}"#).is_err());
    }

    #[test]
    fn a_period_is_days_or_months() {
        let of = |json: &str| question(json).period(&Calendar::default());
        assert_eq!(of("{}").unwrap(), Timestamp(0)..Timestamp(u64::MAX));
        let day = 86_400_000;
        assert_eq!(of(r#"{"from": "1970-01-02", "to": "1970-02"}"#).unwrap(), Timestamp(day)..Timestamp(31 * day));
        for (json, said) in
            [(r#"{"from": "yesterday"}"#, "`from`"), (r#"{"from": "2026-11", "to": "2026-11"}"#, "after `from`")]
        {
            assert!(of(json).unwrap_err().to_string().contains(said));
        }
    }
}
