//! Several routes in one log: what they share survives saving, and who saved it cannot be told.

use sha2::{Digest, Sha256};
use slarouter_core::{
    Alpha, Context, Decision, DecisionId, Example, ModelSpec, PolicySpec, Price, Rater, Rating, Receipt, RouteSpec,
    Source, Zoo, decision_rng,
};
use slarouter_store::{OutcomeRecord, Rated};

use super::*;
use crate::warm::{FeaturesId, WarmStart};

const FEATURES: [f32; slarouter_text::DIM] = [0.25; slarouter_text::DIM];

fn spec(alpha: f64, models: &[&str], policy: &str) -> RouteSpec {
    let model = |name: &&str| ModelSpec::new(name, Price { input: 1.0, output: f64::from(name.as_bytes()[0]) });
    let zoo = Zoo::new(models.iter().map(model).collect()).unwrap();
    let spec = RouteSpec::new(Alpha::new(alpha).unwrap(), zoo, PolicySpec::parse(policy).unwrap());
    RouteSpec { feedback_window_ms: 1_000_000, ..spec }
}

fn hashed() -> FeaturesId {
    FeaturesId { encoder: "hashed".to_owned(), version: slarouter_text::VERSION, dim: slarouter_text::DIM }
}

/// A log in memory.
#[derive(Default)]
struct Log {
    events: Vec<Event>,
}

impl Log {
    fn seq(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    fn configure(&mut self, route: &str, spec: &RouteSpec) {
        let logged = LoggedRoute { spec: spec.clone(), features: hashed(), warm_start: None, unpriced: vec![] };
        self.configure_as(route, &logged.json().unwrap());
    }

    fn configure_as(&mut self, route: &str, spec: &str) {
        let spec = spec.to_owned();
        self.events.push(Event::Configured { seq: self.seq(), time: Timestamp(0), route: route.into(), spec });
    }

    /// A request of `route` and its rating, as `learning` decides them.
    fn serve(&mut self, learning: &mut Learning, route: &str, satisfied: impl Fn(&str) -> bool) -> Decision {
        let (id, time) = (DecisionId(self.seq().into()), Timestamp(self.seq()));
        let context = Context { features: &FEATURES, input_tokens: 100.0, excluded: &[] };
        let decision = learning.snapshot().routes[route].decide(&context, &mut decision_rng(5, id)).unwrap();
        let (route, model) = (Arc::<str>::from(route), decision.choice().model.clone());
        let from = self.events.len();
        self.events.push(Event::Decided {
            seq: self.seq(),
            time,
            id,
            route: route.clone(),
            decision: decision.clone(),
        });
        let outcome = OutcomeRecord {
            decision: id,
            time,
            model: model.clone(),
            status: 200,
            ok: true,
            streamed: false,
            attempts: 1,
            input_tokens: Some(100.0),
            cached_tokens: None,
            cache_write_tokens: None,
            output_tokens: Some(50.0),
            reasoning_tokens: None,
            cost: 0.001,
            latency_ms: 1.0,
            ttft_ms: None,
            error: None,
        };
        let reason = decision.reason;
        self.events.push(Event::Finished { seq: self.seq(), route: route.clone(), reason, outcome, failed: None });
        let rated = Rated {
            decision: id,
            decided_at: time,
            model: model.clone(),
            reason: decision.reason,
            features: FEATURES.to_vec(),
            feature_version: slarouter_text::VERSION,
            predicted: decision.choice().satisfaction,
            failed: false,
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(f64::from(u8::from(satisfied(&model)))).unwrap()),
            receipt: Receipt::Recorded,
        };
        self.events.push(Event::Rated { seq: self.seq(), time, route, rated });
        self.events[from..].iter().for_each(|event| learning.apply(event));
        decision
    }

    fn replay(&self, learning: &mut Learning) {
        let done = learning.seq() as usize;
        self.events[done..].iter().for_each(|event| learning.apply(event));
    }
}

/// Of the states; a difference between megabytes of bytes is no message.
fn digest(learning: &Learning) -> Vec<(Arc<str>, [u8; 32])> {
    learning.states().unwrap().into_iter().map(|(route, state)| (route, Sha256::digest(state).into())).collect()
}

fn restored(learning: &Learning) -> Learning {
    let seq = learning.seq();
    let states = learning.states().unwrap();
    let saved = states.into_iter().map(|(route, state)| slarouter_store::Snapshot {
        route,
        seq,
        time: Timestamp(0),
        state,
        by: None,
    });
    Learning::restore(saved.collect()).unwrap()
}

#[test]
fn a_route_that_nobody_has_rated_knows_what_the_others_know() {
    let (mut log, mut learning) = (Log::default(), Learning::empty());
    log.configure("old", &spec(0.8, &["a", "b", "c"], "certified"));
    log.configure("new", &spec(0.8, &["c", "b"], "certified"));
    log.configure("fixed", &spec(0.8, &["a"], "cheapest"));
    log.replay(&mut learning);
    for _ in 0..60 {
        log.serve(&mut learning, "old", |model| model != "c");
    }
    let decision = log.serve(&mut learning, "new", |_| true);
    let predicted = |name: &str| decision.candidates.iter().find(|c| &*c.model == name).unwrap().satisfaction;
    assert!(predicted("b") > predicted("c") + 0.2, "{decision:?}");
    let accounts = learning.learners().values().map(|learner| learner.account().labels).collect::<Vec<_>>();
    assert_eq!(accounts, [0, 1, 60]);
}

#[test]
fn without_the_shared_part_it_learns_anew() {
    let (mut log, mut learning) = (Log::default(), Learning::empty());
    log.configure("x", &spec(0.8, &["a", "b"], "certified"));
    log.replay(&mut learning);
    for _ in 0..20 {
        log.serve(&mut learning, "x", |_| true);
    }
    let saved = learning.states().unwrap().into_iter().map(|(route, state)| slarouter_store::Snapshot {
        route,
        seq: learning.seq(),
        time: Timestamp(0),
        state,
        by: None,
    });
    let (shared, own): (Vec<_>, Vec<_>) = saved.partition(|saved| saved.route.starts_with('*'));
    assert_eq!((shared.len(), own.len()), (1, 2), "the route, and how it has done of late");
    let restored = Learning::restore(own).unwrap();
    assert_eq!((restored.seq(), restored.learners().len()), (0, 0));
}

#[test]
fn saved_at_any_time_it_goes_on_as_if_it_had_not_been() {
    let (mut log, mut learning) = (Log::default(), Learning::empty());
    log.configure("x", &spec(0.9, &["a", "b", "c"], "certified"));
    log.configure("y", &spec(0.6, &["b", "a"], "certified"));
    log.configure("z", &spec(0.6, &["c", "a"], "slarouter"));
    log.replay(&mut learning);
    let mut saved = Vec::new();
    for t in 0..90_usize {
        log.serve(&mut learning, ["x", "y", "z", "x"][t % 4], |model| model != "a" || t % 3 == 0);
        match t {
            30 => log.configure("x", &spec(0.8, &["c", "d"], "certified")),
            // The route with the newest knowledge leaves the circle, and comes back.
            45 => log.configure("y", &spec(0.6, &["a", "b"], "cheapest")),
            60 => log.configure("y", &spec(0.6, &["a", "b"], "certified")),
            75 => log.configure("z", &spec(0.7, &["a", "d"], "certified")),
            _ => {}
        }
        log.replay(&mut learning);
        if t % 7 == 0 {
            saved.push(restored(&learning));
            assert_eq!(digest(saved.last().unwrap()), digest(&learning), "t = {t}");
        }
    }
    let states = digest(&learning);
    for mut earlier in saved {
        log.replay(&mut earlier);
        assert_eq!(digest(&earlier), states);
    }
    let mut anew = Learning::empty();
    log.replay(&mut anew);
    assert_eq!(digest(&anew), states);
}

#[test]
fn what_is_shared_is_saved_once() {
    let (mut log, mut learning) = (Log::default(), Learning::empty());
    for tenant in 0..5 {
        log.configure(&format!("t{tenant}"), &spec(0.8, &["a", "b", "c"], "certified"));
    }
    log.replay(&mut learning);
    (0..20).for_each(|t| drop(log.serve(&mut learning, ["t0", "t3"][t % 2], |_| true)));
    let states = learning.states().unwrap();
    let size = |name: &str| states.iter().find(|(route, _)| route.starts_with(name)).unwrap().1.len();
    assert!(size("t4") * 10 < size("*"), "{} and {}", size("t4"), size("*"));
}

#[test]
fn the_log_alone_says_what_a_route_began_with() {
    let spec = spec(0.8, &["a", "b"], "certified");
    let example = |model, satisfaction| Example { features: FEATURES.to_vec(), model, satisfaction };
    let examples: Vec<_> = (0..40).flat_map(|_| [example(0, 0.0), example(1, 1.0)]).collect();
    let features = hashed();
    let knowledge = Knowledge::train(&spec.zoo, (features.dim, features.version), &examples, 50.0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warm.bin");
    std::fs::write(&path, knowledge.to_bytes().unwrap()).unwrap();
    let warm_start = Some(WarmStart::read(&path, &features).unwrap());
    let logged =
        serde_json::to_string(&LoggedRoute { spec, features: features.clone(), warm_start, unpriced: vec![] }).unwrap();

    let (mut log, mut learning) = (Log::default(), Learning::empty());
    log.configure_as("x", &logged);
    log.replay(&mut learning);
    let decision = log.serve(&mut learning, "x", |_| true);
    let [a, b] = [0, 1].map(|place| decision.candidates[place].satisfaction);
    assert!(a < 0.4 && b > 0.6, "{decision:?}");
    // Configured again, as at the next start, it is not begun with again.
    log.configure_as("x", &logged);
    log.replay(&mut learning);
    (0..20).for_each(|_| drop(log.serve(&mut learning, "x", |model| model == "a")));
    log.configure_as("x", &logged);
    log.replay(&mut learning);
    let mut anew = Learning::empty();
    log.replay(&mut anew);
    assert_eq!(digest(&anew), digest(&learning));
    assert_eq!(digest(&restored(&learning)), digest(&learning));

    std::fs::write(&path, b"SLARwhatever it is").unwrap();
    let error = WarmStart::read(&path, &features).unwrap_err().to_string();
    assert!(error.contains("warm.bin") && error.contains("slarouter train"), "{error}");
    std::fs::write(&path, knowledge.to_bytes().unwrap()).unwrap();
    let error = WarmStart::read(&path, &FeaturesId { dim: 64, ..features }).unwrap_err().to_string();
    assert!(error.contains("length 128") && error.contains("length 64"), "{error}");
    assert!(WarmStart::read(&folder.path().join("none"), &hashed()).is_err());
}

#[test]
fn a_route_that_is_only_observed_stays_so_when_it_was_saved() {
    let (mut log, mut learning) = (Log::default(), Learning::empty());
    let plain = spec(0.8, &["a", "z"], "certified");
    let mut watched = plain.clone();
    if let PolicySpec::Certified(params) = &mut watched.policy {
        params.observe = true;
    }
    log.configure("watched", &watched);
    log.configure("plain", &plain);
    log.replay(&mut learning);
    let serve = |log: &mut Log, learning: &mut Learning| {
        ["watched", "plain"].map(|route| log.serve(learning, route, |_| true).is_observed())
    };
    for _ in 0..40 {
        serve(&mut log, &mut learning);
    }
    let mut again = restored(&learning);
    assert_eq!(digest(&again), digest(&learning));
    assert!(again.snapshot().routes["watched"].spec().is_observed());
    assert_eq!(serve(&mut log, &mut again), [true, false]);
    // Switched on, it is saved as any other.
    log.configure("watched", &plain);
    log.replay(&mut again);
    let names: Vec<_> = again.states().unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"watched".into()) && !names.iter().any(|name| name.starts_with('^')), "{names:?}");
    assert!(!restored(&again).snapshot().routes["watched"].spec().is_observed());
}
