use std::sync::Arc;

use slarouter_core::{
    Alpha, AuditDraw, Context, Decision, ModelSpec, Price, Rater, Rating, Reason, RouteSpec, Source, Timestamp, Zoo,
    decision_rng,
};
use slarouter_store::{DecisionRecord, Entry, FeedbackRecord, open};
use tempfile::TempDir;

use super::*;
use crate::warm::FeaturesId;

const SEED: u64 = 3;

fn logged_route() -> LoggedRoute {
    let model = |name: &str, price: f64| ModelSpec::new(name, Price { input: price, output: 0.0 });
    let zoo = Zoo::new(vec![model("small", 1.0), model("large", 10.0)]).unwrap();
    let spec = RouteSpec::new(Alpha::new(0.8).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
    let features = FeaturesId { encoder: "hash".to_owned(), version: 1, dim: 1 };
    LoggedRoute { spec, features, warm_start: None, unpriced: Vec::new() }
}

/// A log of so many decisions, each made from the state of all events before it and rated; the model `small` satisfies always.
async fn log_of(folder: &TempDir, decisions: u64) -> Arc<dyn Store> {
    let store = open(&format!("sqlite://{}", folder.path().join("log.db").display())).await.unwrap();
    let logged = logged_route();
    store.configure(Timestamp(0), "r", &logged.json().unwrap()).await.unwrap();
    let mut learning = crate::Learning::empty();
    for n in 1..=decisions {
        learning.catch_up(store.as_ref()).await.unwrap();
        let id = DecisionId(u128::from(n));
        let context = Context { features: &[1.0], input_tokens: 1_000.0, excluded: &[] };
        let router = &learning.snapshot().routes["r"];
        let decision = router.decide(&context, &mut decision_rng(SEED, id)).unwrap();
        let rating = if &*decision.choice().model == "small" { 1.0 } else { 0.9 };
        let record = DecisionRecord {
            id,
            time: Timestamp(n),
            route: "r".into(),
            decision,
            features: vec![1.0],
            feature_version: 1,
            input_tokens: 1_000.0,
            state_seq: learning.seq(),
            prompt: None,
            audit: AuditDraw::default(),
            payer: slarouter_store::Payer::default(),
            fallback: None,
            trace: None,
        };
        store.log(Entry::Decision(record)).unwrap();
        let feedback = FeedbackRecord {
            decision: id,
            time: Timestamp(n),
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(rating).unwrap()),
            comment: Some("fine".to_owned()),
        };
        store.rate(feedback, u64::MAX).await.unwrap();
    }
    store
}

#[tokio::test]
async fn every_decision_of_a_log_is_made_again_and_its_ranking_read_back() {
    let folder = TempDir::new().unwrap();
    let store = log_of(&folder, 60).await;
    let mut ranked = 0;
    for n in 1..=60 {
        let explained = explain(store.as_ref(), DecisionId(n), SEED, u64::MAX).await.unwrap().unwrap();
        assert_eq!(explained.replay, Replay::Same, "{n}");
        let then = explained.then.unwrap();
        assert!(explained.candidates.iter().all(|candidate| candidate.satisfaction_error.unwrap() > 0.0), "{n}");
        assert_eq!(explained.feedback[0].comment.as_deref(), Some("fine"));
        let Some(price) = explained.satisfaction_price_usd else { continue };
        ranked += 1;
        // The row's is the higher one of the two prices, whose mean the state has.
        assert!(price >= then.satisfaction_price_usd * (1.0 - 1e-6), "{n}: {price} and {then:?}");
        let loser = explained.candidates.iter().find(|candidate| candidate.would_win.is_some()).unwrap();
        let best = explained.candidates.iter().find(|candidate| candidate.would_win.is_none()).unwrap();
        assert!(loser.score > best.score, "{n}");
        if let Some(needed) = loser.would_win.unwrap().satisfaction {
            let score = loser.score - price * (needed - loser.satisfaction);
            assert!((score - best.score).abs() < 1e-9, "{n}");
        }
    }
    // The others went to the fallback by the safeguard, which ranks nothing.
    assert!(ranked > 2, "{ranked}");
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_made_again_says_why() {
    let folder = TempDir::new().unwrap();
    let store = log_of(&folder, 12).await;
    let last = DecisionId(12);
    assert_eq!(explain(store.as_ref(), DecisionId(99), SEED, u64::MAX).await.unwrap(), None);
    let near = explain(store.as_ref(), last, SEED, 3).await.unwrap().unwrap();
    let Replay::Unreachable { why } = &near.replay else { panic!("{:?}", near.replay) };
    assert!(why.contains("23 events older") && near.then.is_none(), "{why}");
    assert!(near.candidates.iter().all(|candidate| candidate.satisfaction_error.is_none()));

    // A state that was saved on the way is begun with.
    let mut learning = crate::Learning::empty();
    learning.catch_up_to(store.as_ref(), 22).await.unwrap();
    store.save_snapshots(22, Timestamp(0), learning.states().unwrap()).await.unwrap();
    let near = explain(store.as_ref(), last, SEED, 3).await.unwrap().unwrap();
    assert_eq!(near.replay, Replay::Same);

    let mut others = Vec::new();
    for n in 1..=12 {
        others.push(explain(store.as_ref(), DecisionId(n), SEED + 1, u64::MAX).await.unwrap().unwrap().replay);
    }
    let another =
        others.iter().filter(|replay| matches!(replay, Replay::Differs { what } if what.contains("server.seed")));
    assert!(another.count() > 0, "{others:?}");
    store.close().await;
}

fn decision(reason: Reason, chosen: usize) -> Decision {
    let candidate = |model: &str, satisfaction: f64, cost: f64, trust: f64| Candidate {
        model: model.into(),
        probability: 0.5,
        satisfaction,
        cost,
        score: cost - 2.0 * (satisfaction + trust),
        ..Candidate::default()
    };
    let candidates = vec![candidate("small", 0.5, 0.25, 0.0), candidate("large", 0.75, 1.0, 0.0625)];
    Decision { candidates, chosen, reason }
}

#[test]
fn what_would_have_had_to_be_true_is_where_the_scores_meet() {
    let ranking = Ranking::of(&decision(Reason::Exploit, 0), None).unwrap();
    assert_eq!((ranking.price, &*ranking.best), (2.0, "small"));
    let row = decision(Reason::Exploit, 0);
    assert_eq!(ranking.would_win(&row.candidates[0]), None);
    // Scores −0.75 and −0.625: an eighth of a dollar, or a sixteenth of satisfaction at two dollars.
    let needed = ranking.would_win(&row.candidates[1]).unwrap();
    assert_eq!((needed.satisfaction, needed.cost_usd), (Some(0.8125), Some(0.875)));
    let mut hopeless = row.candidates[1].clone();
    hopeless.score = 5.0;
    assert_eq!(ranking.would_win(&hopeless), Some(WouldWin { satisfaction: None, cost_usd: None }));
    for reason in [Reason::Pinned, Reason::Fallback] {
        assert!(Ranking::of(&decision(reason, 0), None).is_none());
    }
}

#[test]
fn each_reason_has_its_sentence() {
    let sentence = |decision: Decision| {
        let record = DecisionRecord {
            id: DecisionId(1),
            time: Timestamp(1),
            route: "r".into(),
            decision,
            features: vec![],
            feature_version: 1,
            input_tokens: 1.0,
            state_seq: 0,
            prompt: None,
            audit: AuditDraw::default(),
            payer: slarouter_store::Payer::default(),
            fallback: Some(1),
            trace: None,
        };
        let decision = slarouter_store::StoredDecision { seq: 1, record, rerouted: None, archived: false };
        let history = DecisionHistory { decision, configuration: None, outcome: None, feedback: vec![] };
        let remade = Remade { replay: Replay::Same, then: None, price: None, errors: None };
        explained(history, Some(&logged_route()), remade).sentence
    };
    for (reason, chosen, begins) in [
        (
            Reason::Exploit,
            0,
            "small had the best balance: 50.0 % predicted satisfaction for $0.25, while a satisfied answer was worth $2.00.",
        ),
        (Reason::Exploit, 1, "large was kept as the fallback: small had the better balance, but what it might lose"),
        (Reason::Explore, 1, "large was drawn with a probability of 50.0 %; small had the best balance."),
        (Reason::Explore, 0, "small was drawn with a probability of 50.0 %, to learn."),
        (Reason::Fallback, 1, "large served as the fallback: there was too little evidence to choose by."),
        (
            Reason::Fallback,
            0,
            "small served, as the fallback large was not to be asked: there was too little evidence to choose by.",
        ),
        (Reason::Pinned, 1, "The client named large, so there was nothing to decide."),
        (Reason::Affinity, 0, "The conversation was with small and stayed there; nothing was drawn."),
    ] {
        let told = sentence(decision(reason, chosen));
        assert!(told.starts_with(begins), "{told}");
        assert!(told.ends_with(" Its request has not ended yet."), "{told}");
    }
    for (reason, chosen, begins) in [
        (
            Reason::Fallback,
            1,
            "The route is only observed, so large served as the fallback; small would have been drawn with a probability of 75.0 %.",
        ),
        (
            Reason::Fallback,
            0,
            "The route is only observed, so small served, as the fallback large was not to be asked; small would have been drawn",
        ),
        (
            Reason::Explore,
            0,
            "The route is only observed: small was drawn with a probability of 50.0 %, to learn; small would",
        ),
        (Reason::Affinity, 0, "The conversation was with small and stayed there; nothing was drawn."),
    ] {
        let mut observed = decision(reason, chosen);
        (observed.candidates[0].planned, observed.candidates[1].planned) = (0.75, 0.25);
        let told = sentence(observed);
        assert!(told.starts_with(begins), "{told}");
    }
}

#[test]
fn what_would_have_made_a_model_the_best_is_said_in_words() {
    let said = |satisfaction: Option<f64>, cost_usd: Option<f64>, excluded: bool| {
        let candidate = ExplainedCandidate {
            model: "m".into(),
            probability: 0.0,
            planned: None,
            satisfaction: 0.5,
            satisfaction_error: None,
            cost_usd: 1.0,
            saving_usd: 0.0,
            score: 0.0,
            excluded,
            would_win: Some(WouldWin { satisfaction, cost_usd }),
        };
        candidate.would_have_been_best()
    };
    assert_eq!(said(Some(0.981), Some(0.0021), false), "at 98.1 % or $0.0021");
    assert_eq!(said(None, Some(0.0021), true), "not excluded, and at $0.0021");
    assert_eq!(said(None, None, true), "neither satisfaction nor price alone would do");
}
