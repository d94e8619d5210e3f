//! The whole demo without its view: simulated models, gateway, store and users over real HTTP.

use slarouter_demo::DemoOptions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_requests_are_answered_rated_and_learnt_from() {
    let folder = tempfile::tempdir().unwrap();
    let options = DemoOptions {
        requests: Some(300),
        seed: 7,
        rate: 200.0,
        feedback_rate: 0.3,
        alpha: 0.9,
        data: Some(folder.path().join("data")),
    };
    let first = slarouter_demo::run(options.clone(), false).await.unwrap();
    assert_eq!((first.requests, first.failures), (300, 0));
    // Binomial(300, 0.3): outside 45..=135 with probability below 1e-7; every rating was learnt from.
    assert!((45..=135).contains(&first.rated), "{} ratings", first.rated);
    assert_eq!(first.labels, first.rated);
    assert!((first.share.values().sum::<f64>() - 1.0).abs() < 1e-9);
    let certificate = first.certificate.unwrap();
    assert_eq!((certificate.requests, certificate.labels), (300, first.labels));
    assert!((0.0..=1.0).contains(&certificate.lower) && certificate.upper <= 1.0);
    // Wrong with probability 0.05 over all seeds; this one is fixed.
    assert!(certificate.lower <= first.satisfaction && first.satisfaction <= certificate.upper, "{certificate:?}");
    assert!(first.cost > 0.0 && first.cost < first.dearest_cost);
    assert!((first.saving - (1.0 - first.cost / first.dearest_cost)).abs() < 1e-9);

    // A second run on the same folder goes on from what the first has learnt.
    let second = slarouter_demo::run(options, false).await.unwrap();
    assert_eq!((second.requests, second.failures), (300, 0));
    assert_eq!(second.labels, first.labels + second.rated);
    assert_eq!(second.certificate.unwrap().requests, 600);
}
