//! The whole demo without its view: simulated models, gateway, store and users over real HTTP.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;

use slarouter_demo::{DemoOptions, Summary};

fn options(seed: u64, data: Option<PathBuf>) -> DemoOptions {
    DemoOptions { requests: Some(300), seed, rate: 200.0, feedback_rate: 0.3, alpha: 0.9, data }
}

async fn run(seed: u64, data: Option<PathBuf>) -> Summary {
    slarouter_demo::run(options(seed, data), false).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_requests_are_answered_rated_and_learnt_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = Some(folder.path().join("data"));
    let first = run(7, data.clone()).await;
    assert_eq!((first.requests, first.failures), (300, 0));
    // Binomial(300, 0.3): outside 45..=135 with probability below 1e-7; every rating was learnt from.
    assert!((45..=135).contains(&first.rated), "{} ratings", first.rated);
    assert_eq!(first.labels, first.rated);
    assert!((first.share.values().sum::<f64>() - 1.0).abs() < 1e-9);
    // Binomial(300, 0.25): outside 38..=115 with probability below 1e-6. Each verdict costs some 300 tokens.
    assert!((38..=115).contains(&first.verdicts), "{} verdicts", first.verdicts);
    assert!(first.judge_cost > 1e-5 * first.verdicts as f64 && first.judge_cost < 1e-3 * first.verdicts as f64);
    assert!(0 < first.agreement.compared && first.agreement.compared <= first.verdicts.min(first.rated));
    let certificate = first.certificate.unwrap();
    assert_eq!((certificate.requests, certificate.labels), (300, first.labels));
    assert!((0.0..=1.0).contains(&certificate.lower) && certificate.upper <= 1.0);
    // Wrong with probability 0.05 over all seeds; this one is fixed, and decides everything.
    assert!(certificate.lower <= first.satisfaction && first.satisfaction <= certificate.upper, "{certificate:?}");
    assert!(first.cost > 0.0 && first.cost < first.most_expensive_cost);
    assert!((first.saving - (1.0 - first.cost / first.most_expensive_cost)).abs() < 1e-9);
    // The last request goes out after 1.495 s, and the slowest user takes two more.
    assert!((1.495..3.5).contains(&first.seconds), "{} s", first.seconds);

    // A second run on the same folder goes on from what the first has learnt.
    let second = run(7, data).await;
    assert_eq!((second.requests, second.failures), (300, 0));
    assert_eq!(second.labels, first.labels + second.rated);
    assert_eq!(second.certificate.unwrap().requests, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seed_decides_everything() {
    let json = async |seed| serde_json::to_string(&run(seed, None).await).unwrap();
    let first = json(3).await;
    assert_eq!(json(3).await, first, "the same to the last digit");
    assert_ne!(json(4).await, first);
}
