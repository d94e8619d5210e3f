//! From what is wrong to a webhook that hears of it.

use std::time::Duration;

use serde_json::{Value, json};
use slarouter_config::WebhookShape;
use slarouter_core::{Alpha, Learner, ModelSpec, PolicySpec, Price, RouteSpec, Status, Zoo};
use slarouter_learner::Snapshot;
use slarouter_testkit::{Received, Script, Upstream, until};

use super::*;
use crate::upstream::Circuit;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MINUTE: u64 = 60_000;

fn webhook(receiver: &Upstream) -> Webhook {
    Webhook {
        url: format!("http://{}/hook", receiver.addr()).into(),
        shape: WebhookShape::Json,
        secret: Some(SECRET.into()),
        repeat: Duration::from_secs(4 * 3_600),
    }
}

/// A route that nothing is known of, with this status.
fn snapshot(status: Status) -> Snapshot {
    let zoo = Zoo::new(vec![ModelSpec::new("m", Price { input: 1.0, output: 1.0 })]).unwrap();
    let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
    let learner = Learner::new(spec, 1, 1).unwrap();
    Snapshot {
        routes: [("default".into(), learner.router().clone())].into(),
        standings: [("default".into(), status)].into(),
        ..Snapshot::default()
    }
}

fn look(alerts: &Alerts, status: Status, minute: u64) {
    let snapshot = snapshot(status);
    let now = Timestamp(minute * MINUTE);
    alerts.look(&View { now, snapshot: &snapshot, trouble: None, stale: false, circuits: Vec::new() });
}

fn shown(alerts: &Alerts, minute: u64) -> Value {
    json!(alerts.view(Timestamp(minute * MINUTE)))
}

/// The webhook has taken all that it was to be told.
async fn taken(alerts: &Alerts) {
    until("the webhook has taken all", async || shown(alerts, 0)["webhooks"][0]["waiting"] == 0).await;
}

/// Name and status of each alert of a message.
fn told(message: &Received) -> Vec<(String, String)> {
    let body = message.json();
    let text = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
    let alerts = body["alerts"].as_array().unwrap();
    alerts.iter().map(|alert| (text(alert, "name"), text(alert, "status"))).collect()
}

fn pair(name: &str, status: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), status.to_owned())]
}

#[tokio::test]
async fn an_alert_is_told_once_it_has_lasted_and_again_and_when_it_is_over() {
    let (receiver, clock) = (Upstream::start().await, Arc::new(Clock::simulated(Timestamp(0))));
    for status in [500, 200, 200, 200] {
        receiver.script(Script::json(status, &Value::Null));
    }
    let alerts = Alerts::default();
    alerts.tell(&[webhook(&receiver)], &clock);
    look(&alerts, Status::Broken, 0);
    look(&alerts, Status::Broken, 9);
    assert_eq!(shown(&alerts, 9)["alerts"][0]["state"], "pending");
    look(&alerts, Status::Broken, 10);
    // The first answer is 500, so the same message comes again.
    let messages = receiver.arrived(2).await;
    assert_eq!(told(&messages[0]), pair("SLABroken", "firing"));
    assert_eq!(
        (&messages[0].body, messages[0].header("webhook-id")),
        (&messages[1].body, messages[1].header("webhook-id"))
    );
    taken(&alerts).await;
    look(&alerts, Status::Broken, 200);
    look(&alerts, Status::Broken, 250);
    let messages = receiver.arrived(3).await;
    assert_eq!(told(&messages[2]), pair("SLABroken", "firing"), "four hours later");
    assert_ne!(messages[1].header("webhook-id"), messages[2].header("webhook-id"));
    taken(&alerts).await;
    // A reload that changes nothing for it does not have it hear of anything again.
    alerts.tell(&[webhook(&receiver)], &clock);
    look(&alerts, Status::Holds, 251);
    let messages = receiver.arrived(4).await;
    assert_eq!(told(&messages[3]), pair("SLABroken", "resolved"));
    taken(&alerts).await;
    assert_eq!(shown(&alerts, 251)["alerts"], json!([]));
}

#[tokio::test]
async fn a_restart_forgets_neither_what_was_told_nor_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.db.alerts");
    let (receiver, clock) = (Upstream::start().await, Arc::new(Clock::simulated(Timestamp(0))));
    let begin = || {
        let alerts = Alerts::remembering(file.clone());
        alerts.tell(&[webhook(&receiver)], &clock);
        alerts
    };
    let alerts = begin();
    alerts.remember();
    assert!(!file.exists(), "nothing was to be remembered");
    look(&alerts, Status::Broken, 0);
    alerts.remember();
    // One that ends before it has looked forgets nothing either.
    begin().remember();

    // It goes on as if there had been no restart: nine minutes before it and one after it are ten. This message is not taken.
    let alerts = begin();
    receiver.script(Script::json(500, &Value::Null));
    look(&alerts, Status::Broken, 10);
    receiver.arrived(1).await;
    alerts.remember();
    drop(alerts);

    receiver.script(Script::json(200, &Value::Null));
    let alerts = begin();
    let messages = receiver.arrived(2).await;
    assert_eq!(told(&messages[1]), pair("SLABroken", "firing"));
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"), "so that a receiver can tell");
    taken(&alerts).await;
    look(&alerts, Status::Broken, 11);
    alerts.remember();

    // One that ends before it tells anybody forgets nothing either.
    Alerts::remembering(file.clone()).remember();

    // Over while no process ran: it is told all the same.
    receiver.script(Script::json(200, &Value::Null));
    let alerts = begin();
    look(&alerts, Status::Holds, 20);
    let messages = receiver.arrived(3).await;
    assert_eq!(told(&messages[2]), pair("SLABroken", "resolved"));
    assert_eq!(messages[2].json()["alerts"][0]["starts_at"], "1970-01-01T00:00:00Z");
    taken(&alerts).await;
    alerts.remember();
    look(&begin(), Status::Holds, 21);
    assert_eq!(receiver.requests().len(), 3, "and once");
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_forgets_and_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.db.alerts");
    std::fs::write(&file, "{\"since\":3}").unwrap();
    let alerts = Alerts::remembering(file.clone());
    look(&alerts, Status::Broken, 5);
    alerts.remember();
    let alerts = Alerts::remembering(file);
    // The clock was put back meanwhile.
    look(&alerts, Status::Broken, 4);
    look(&alerts, Status::Broken, 13);
    assert_eq!(shown(&alerts, 13)["alerts"][0]["state"], "pending");
    assert_eq!(shown(&alerts, 14)["alerts"][0]["state"], "firing");
}

#[tokio::test]
async fn a_message_is_signed_and_a_webhook_that_refuses_is_said_to() {
    let receiver = Upstream::start().await;
    receiver.script(Script::json(200, &Value::Null));
    receiver.script(Script::json(410, &Value::Null));
    let told = test_alert(&[webhook(&receiver)]).await;
    let error = "it answered 410 Gone".to_owned();
    assert_eq!(told, [("127.0.0.1".to_owned(), "json", Err(error))]);
    let [message, over] = receiver.requests().try_into().unwrap();
    let header = |name: &str| message.header(name).unwrap().to_owned();
    let seconds = header("webhook-timestamp").parse().unwrap();
    let expected = signature::signature(&SECRET.into(), &header("webhook-id"), seconds, &message.body);
    assert_eq!(Some(header("webhook-signature")), expected);
    assert_eq!(self::told(&over), pair("AlertTest", "resolved"));
}

#[test]
fn what_is_wrong_with_the_process_is_an_alert_as_well() {
    let mut snapshot = snapshot(Status::Insufficient);
    Arc::make_mut(&mut snapshot.unreadable).count = 2;
    let circuits = vec![("a", Circuit::Open), ("b", Circuit::HalfOpen)];
    let view = View { now: Timestamp(0), snapshot: &snapshot, trouble: Some("store"), stale: true, circuits };
    let held = rules::conditions(&view);
    let names: Vec<_> = held.iter().map(|condition| condition.rule.name).collect();
    assert_eq!(names, ["SLAStale", "Degraded", "UnreadableRows", "ModelDown"]);
    assert_eq!(held[3].labels, [("model", "a".to_owned())].into());
}

#[test]
fn names_severities_and_times_are_those_of_the_rules_for_prometheus() {
    let text = include_str!("../../../../deploy/prometheus/slarouter.rules.yml");
    for rule in &rules::RULES {
        let (_, rest) = text.split_once(&format!("- alert: {}\n", rule.name)).expect(rule.name);
        let of = |key: &str| rest.split_once(key).unwrap().1.split(['\n', ' ', '}']).next().unwrap();
        let lasts = of("for: ");
        let minutes = match lasts.split_at(lasts.len() - 1) {
            (count, "m") => count.parse::<u64>().unwrap(),
            (count, "h") => count.parse::<u64>().unwrap() * 60,
            (count, _) => count.parse::<u64>().unwrap() * 1_440,
        };
        assert_eq!((rule.severity, rule.minutes), (of("severity: "), minutes), "{}", rule.name);
    }
}
