//! Runs of a policy over recorded outcomes.

use std::collections::BTreeMap;

use serde::Serialize;
use slarouter_core::{
    Alpha, Certificate, Context, DecideError, DecisionId, Feedback, Learner, ObserveError, Outcome, Policy, PolicySpec,
    Rater, Rating, RouteSpec, Source, SpecError, Timestamp, decision_rng,
};

use crate::course::Course;
use crate::terms::on_terms;
use crate::windows::Windows;
use crate::{Dataset, Fallback, Order, References, WindowRun};

/// What to run.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    /// The recorded outcomes.
    pub data: &'a Dataset,
    /// The satisfaction target.
    pub alpha: Alpha,
    /// φ: the probability that the score of the chosen model is seen.
    pub feedback_rate: f64,
    /// The policy.
    pub policy: PolicySpec,
    /// Seeds 0, 1, …
    pub seeds: u64,
    /// The fallback of policy `certified`.
    pub fallback: Fallback,
    /// The order of the requests, with the windows of the SLA.
    pub order: Order,
    /// Requests per run, cut off after the rows are drawn.
    pub limit: Option<usize>,
}

/// One pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Mean true satisfaction with the answers given, seen or not.
    pub satisfaction: f64,
    /// Mean USD per request.
    pub cost: f64,
    /// Scores seen.
    pub labels: u64,
    /// Requests on which the policy explored.
    pub explored: u64,
    /// The lowest running mean of satisfaction from 20 % of a window on.
    pub running_min: f64,
    /// Its windows; without windows the run is the only one.
    pub windows: Vec<WindowRun>,
    /// What the policy could promise at the end, if it keeps such an account.
    pub certificate: Option<Certificate>,
    /// Share of the requests per model.
    pub share: BTreeMap<String, f64>,
}

/// Means over the runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// See [`Run`].
    pub satisfaction: f64,
    /// See [`Run`].
    pub cost: f64,
    /// See [`Run`].
    pub labels: f64,
    /// See [`Run`].
    pub explored: f64,
    /// See [`Run`].
    pub running_min: f64,
    /// Share of the windows whose satisfaction reached α; of the runs, where there are no windows.
    pub kept: f64,
    /// See [`Run`].
    pub share: BTreeMap<String, f64>,
}

/// Means over the runs, of the windows at one place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WindowMean {
    /// Which window, from 1.
    pub number: usize,
    /// See [`Run`].
    pub satisfaction: f64,
    /// See [`Run`].
    pub cost: f64,
    /// Share of the windows whose satisfaction reached α.
    pub kept: f64,
}

/// All runs, with the yardsticks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the data set.
    pub data: String,
    /// Requests per run.
    pub rows: usize,
    /// The models.
    pub models: Vec<String>,
    /// The satisfaction target.
    pub alpha: f64,
    /// φ
    pub feedback_rate: f64,
    /// The policy.
    pub policy: String,
    /// The fallback of policy `certified`.
    pub fallback: String,
    /// The order of the requests, in words.
    pub order: String,
    /// Number of runs.
    pub seeds: u64,
    /// The runs.
    pub runs: Vec<Run>,
    /// Their means.
    pub mean: Mean,
    /// The windows, where there are several.
    pub windows: Vec<WindowMean>,
    /// The yardsticks, over all rows.
    pub references: References,
}

/// Why a replay cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The policy does not fit the data.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// φ outside \[0, 1\].
    #[error("the feedback rate must lie between 0 and 1, not {0}")]
    FeedbackRate(f64),
    /// No runs, or no requests in them.
    #[error("there is nothing to run: seeds, limit, window and windows must be at least 1")]
    Nothing,
    /// The policy refuses a request; a fault of ours.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The learner refuses an outcome; a fault of ours.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

impl Replay<'_> {
    /// Runs all seeds. `progress` is called after each with the number done.
    ///
    /// # Errors
    /// [`ReplayError`]
    pub fn run(&self, mut progress: impl FnMut(u64)) -> Result<Report, ReplayError> {
        if !(0.0..=1.0).contains(&self.feedback_rate) {
            return Err(ReplayError::FeedbackRate(self.feedback_rate));
        }
        if self.seeds == 0 || self.limit == Some(0) || self.order.is_empty() {
            return Err(ReplayError::Nothing);
        }
        let mut runs = Vec::new();
        for seed in 0..self.seeds {
            runs.push(self.run_seed(seed)?);
            progress(seed + 1);
        }
        let data = self.data;
        Ok(Report {
            data: data.name.clone(),
            rows: self.length(),
            models: data.zoo.models().iter().map(|model| model.name.to_string()).collect(),
            alpha: self.alpha.get(),
            feedback_rate: self.feedback_rate,
            policy: self.policy.to_string(),
            fallback: self.fallback()?,
            order: self.order.to_string(),
            seeds: self.seeds,
            mean: Mean::of(&runs, self.alpha.get()),
            windows: WindowMean::all(&runs, self.alpha.get()),
            runs,
            references: References::of(data, self.alpha.get()),
        })
    }

    /// One pass with the replay's policy.
    ///
    /// # Errors
    /// [`ReplayError`]
    pub fn run_seed(&self, seed: u64) -> Result<Run, ReplayError> {
        self.pass(seed, Learner::new(self.spec()?, self.data.dim(), self.data.feature_version())?)
    }

    /// One pass with a policy of the caller's own.
    ///
    /// # Errors
    /// [`ReplayError`]
    pub fn run_with<P: Policy>(&self, seed: u64, policy: P) -> Result<Run, ReplayError> {
        self.pass(seed, Learner::with_policy(self.spec()?, policy, self.data.dim(), self.data.feature_version()))
    }

    fn spec(&self) -> Result<RouteSpec, SpecError> {
        let policy = on_terms(&self.policy, &self.fallback()?, self.order);
        Ok(RouteSpec::new(self.alpha, self.data.zoo.clone(), policy))
    }

    /// Its name.
    fn fallback(&self) -> Result<String, SpecError> {
        Ok(self.data.zoo.models()[self.fallback.place(self.data)?].name.to_string())
    }

    fn length(&self) -> usize {
        let requests = self.order.requests(self.data.rows());
        self.limit.map_or(requests, |limit| limit.min(requests))
    }

    fn pass<P: Policy>(&self, seed: u64, mut learner: Learner<P>) -> Result<Run, ReplayError> {
        let data = self.data;
        let mut course = Course::new(data, self.order, seed);
        course.truncate(self.length());
        let mut windows = Windows::new(course.window);
        let (mut satisfaction, mut cost, mut labels, mut running_min) = (0.0, 0.0, 0, f64::INFINITY);
        let mut chosen = vec![0_u64; data.models()];
        for (t, &row) in course.rows.iter().enumerate() {
            let is_seen = course.draws[t] < self.feedback_rate;
            let model = self.serve(&mut learner, &course, t, is_seen)?;
            labels += u64::from(is_seen);
            chosen[model] += 1;
            satisfaction += data.score(row, model);
            cost += data.cost(row, model);
            windows.add(data.score(row, model), data.cost(row, model));
            if windows.is_settled() {
                running_min = f64::min(running_min, windows.mean());
            }
        }
        let n = course.rows.len() as f64;
        let names = data.zoo.models().iter().map(|model| model.name.to_string());
        Ok(Run {
            seed,
            satisfaction: satisfaction / n,
            cost: cost / n,
            labels,
            explored: learner.account().explored,
            running_min,
            windows: windows.finish(),
            certificate: learner.router().certificate(),
            share: names.zip(chosen).map(|(name, count)| (name, count as f64 / n)).collect(),
        })
    }

    /// Routes the request at place `t`, with its rating if that `is_seen`. Returns the place of the model chosen.
    fn serve<P: Policy>(
        &self,
        learner: &mut Learner<P>,
        course: &Course<'_>,
        t: usize,
        is_seen: bool,
    ) -> Result<usize, ReplayError> {
        let (data, row) = (self.data, course.rows[t]);
        let (id, now) = (DecisionId(t as u128), Timestamp(t as u64));
        let (features, input_tokens) = (data.features(row), data.input_tokens(row));
        let context = Context { features, input_tokens, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(course.seed, id))?;
        let (place, model) = (decision.chosen, &*decision.choice().model);
        learner.decided(&decision, now);
        learner.finished(&Outcome {
            model,
            ok: true,
            input_tokens: Some(input_tokens),
            output_tokens: data.output_tokens(row, place),
            cost: data.cost(row, place),
            pinned: false,
        })?;
        if is_seen {
            let feedback = Feedback {
                decision: id,
                decided_at: now,
                model,
                reason: decision.reason,
                features,
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(data.score(row, place))?),
                order: t as u64,
            };
            learner.observe(&feedback, now)?;
        }
        Ok(place)
    }
}

impl Mean {
    fn of(runs: &[Run], alpha: f64) -> Self {
        let n = runs.len() as f64;
        let mean = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / n;
        let mut share = BTreeMap::new();
        for (name, value) in runs.iter().flat_map(|run| &run.share) {
            *share.entry(name.clone()).or_insert(0.0) += value / n;
        }
        Self {
            satisfaction: mean(&|run| run.satisfaction),
            cost: mean(&|run| run.cost),
            labels: mean(&|run| run.labels as f64),
            explored: mean(&|run| run.explored as f64),
            running_min: mean(&|run| run.running_min),
            kept: kept(runs.iter().flat_map(|run| &run.windows), alpha),
            share,
        }
    }
}

impl WindowMean {
    /// Nothing where the runs have no windows.
    fn all(runs: &[Run], alpha: f64) -> Vec<Self> {
        let count = runs.iter().map(|run| run.windows.len()).min().unwrap_or(0);
        let n = runs.len() as f64;
        let at = |place: usize| {
            let windows = runs.iter().map(move |run| &run.windows[place]);
            Self {
                number: place + 1,
                satisfaction: windows.clone().map(|window| window.satisfaction).sum::<f64>() / n,
                cost: windows.clone().map(|window| window.cost).sum::<f64>() / n,
                kept: kept(windows, alpha),
            }
        };
        if count > 1 { (0..count).map(at).collect() } else { Vec::new() }
    }
}

/// Share of the windows whose satisfaction reached α.
fn kept<'a>(windows: impl Iterator<Item = &'a WindowRun>, alpha: f64) -> f64 {
    let kept: Vec<bool> = windows.map(|window| window.satisfaction >= alpha).collect();
    kept.iter().filter(|kept| **kept).count() as f64 / kept.len() as f64
}
