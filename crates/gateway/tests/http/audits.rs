//! Answers drawn for audit, from the draw to the judgement; raters beyond their limit.

use reqwest::Response;
use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, error};

const AUDITED: Settings = Settings {
    server: "",
    upstream: "",
    store: "keep_prompts = true",
    feedback: "audit_rate = 1.0\nrater_limit = 2\nrater_share = 0",
    small: "",
    small_url: None,
    features: String::new(),
    route: Some("policy = \"certified\""),
};

const AUDITOR: &str = "[[keys]]\nname = \"judge\"\nkey = \"sixteen-letters-1\"\nscopes = [\"audit\"]\n";

fn id(answer: &Response) -> String {
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

async fn say(rig: &Rig, body: Value) -> (u16, Value) {
    let answer = rig.client.post(rig.url("/v1/feedback")).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn list(rig: &Rig, query: &str) -> (u16, Value) {
    let answer = rig.client.get(rig.url(&format!("/v1/audits{query}"))).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

/// One value of the metrics; 0 if it is not there yet.
async fn metric(rig: &Rig, name: &str) -> f64 {
    let text = rig.metrics().await;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}

#[tokio::test]
async fn a_drawn_answer_is_marked_listed_and_judged_once() {
    let rig = Rig::start(&AUDITED).await;
    let mut made = Vec::new();
    for stream in [false, true, false] {
        let answer = rig.ask(stream).await;
        assert_eq!(answer.headers()["x-slarouter-audit"], "1");
        made.push(id(&answer));
        // To its end, after which its outcome is in the log.
        answer.bytes().await.unwrap();
    }
    let (status, page) = list(&rig, "?limit=2").await;
    assert_eq!((status, ids(&page), &page["has_more"]), (200, vec![&*made[0], &*made[1]], &json!(true)));
    let first = &page["data"][0];
    assert_eq!((&first["route"], &first["status"], &first["ok"]), (&json!("default"), &json!(200), &json!(true)));
    assert_eq!((&first["audit_rate"], &first["messages"][0]["content"]), (&json!(1.0), &json!("one two")));
    assert!(first["created_ms"].is_u64() && first["model"].is_string(), "{first}");
    let (_, page) = list(&rig, &format!("?after={}", made[1])).await;
    assert_eq!((ids(&page), &page["has_more"]), (vec![&*made[2]], &json!(false)));

    // A user's word beside the auditor's; each of them once.
    let rated = |source: &str, rating: Value| json!({ "id": made[0], "rating": rating, "source": source });
    for (body, status) in [
        (rated("user", json!("up")), "recorded"),
        (rated("audit", json!("down")), "recorded"),
        (rated("audit", json!("down")), "duplicate"),
        (rated("audit", json!(0.5)), "replaced"),
        (rated("user", json!("up")), "duplicate"),
        (rated("user", json!(null)), "withdrawn"),
    ] {
        assert_eq!(say(&rig, body.clone()).await, (202, json!({ "id": made[0], "status": status })), "{body}");
    }
    assert_eq!(ids(&list(&rig, "").await.1), [&*made[1], &*made[2]]);
    assert_eq!(metric(&rig, "slarouter_audits_drawn_total{route=\"default\"}").await, 3.0);
    assert_eq!(metric(&rig, "slarouter_audits_given_total{receipt=\"recorded\"}").await, 1.0);
    assert_eq!(metric(&rig, "slarouter_feedback_total{receipt=\"recorded\"}").await, 1.0);

    // After a restart the draws are still known, and so is what has been said.
    let rig = rig.restart(&AUDITED).await;
    assert_eq!(ids(&list(&rig, "").await.1), [&*made[1], &*made[2]]);
    assert_eq!(say(&rig, rated("audit", json!(0.5))).await.1["status"], "duplicate");
    assert_eq!(say(&rig, rated("audit", json!(null))).await.1["status"], "withdrawn");
    assert_eq!(ids(&list(&rig, "").await.1).len(), 3);
    rig.stop().await;
}

#[tokio::test]
async fn a_failed_answer_is_listed_with_its_status() {
    let rig = Rig::start(&AUDITED).await;
    for _ in 0..3 {
        rig.upstream.script(Script::json(503, &json!({ "error": { "message": "down" } })));
    }
    let answer = rig.ask(false).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-slarouter-audit"]), (503, &"1".parse().unwrap()));
    let (_, page) = list(&rig, "").await;
    assert_eq!((&page["data"][0]["status"], &page["data"][0]["ok"]), (&json!(503), &json!(false)));
    rig.stop().await;
}

#[tokio::test]
async fn what_was_not_drawn_takes_no_audit() {
    // Off by default; the pinned answer of a route with audits is not drawn either.
    for settings in [Settings::default(), AUDITED] {
        let rig = Rig::start(&settings).await;
        let mut question = crate::setup::question(false);
        question["model"] = "small".into();
        let pinned = rig.post(&question).send().await.unwrap();
        assert_eq!(pinned.headers().get("x-slarouter-audit"), None);
        let body = json!({ "id": id(&pinned), "rating": "up", "source": "audit" });
        let answer = rig.client.post(rig.url("/v1/feedback")).json(&body).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-should-retry"]), (409, &"false".parse().unwrap()));
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&error(&body)["code"], &error(&body)["param"]), (&json!("not_drawn"), &json!("source")));
        assert!(ids(&list(&rig, "").await.1).is_empty());
        if settings.route.is_none() {
            let answer = rig.ask(false).await;
            assert_eq!(answer.headers().get("x-slarouter-audit"), None);
            let body = json!({ "id": id(&answer), "rating": "up", "source": "audit" });
            assert_eq!(say(&rig, body).await.0, 409);
        }
        rig.stop().await;
    }
}

#[tokio::test]
async fn mistakes_are_named_and_a_stranger_learns_nothing() {
    let settings = Settings { server: AUDITOR, ..AUDITED };
    let rig = Rig::start(&settings).await;
    let (status, body) = list(&rig, "").await;
    assert_eq!((status, &error(&body)["code"]), (401, &json!("invalid_api_key")));
    for (query, status, param) in [
        ("?limit=0", 400, json!("limit")),
        ("?limit=x", 400, json!("limit")),
        ("?after=x", 400, json!("after")),
        ("?after=chatcmpl-01900000-0000-7000-8000-000000000000", 404, json!("after")),
        ("?page=1", 400, json!("page")),
    ] {
        let request = rig.client.get(rig.url(&format!("/v1/audits{query}"))).bearer_auth("sixteen-letters-1");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(error(&body)["param"], param, "{query}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_rater_beyond_the_limit_is_acknowledged_and_not_counted() {
    let mut rig = Rig::start(&AUDITED).await;
    for round in 0..5 {
        let answer = rig.ask(false).await;
        let body = json!({ "id": id(&answer), "rating": "down", "rater": "eve" });
        assert_eq!(say(&rig, body).await, (202, json!({ "id": id(&answer), "status": "recorded" })));
        if round == 3 {
            // What she has used up is not forgotten.
            rig = rig.restart(&AUDITED).await;
        }
    }
    let rig = rig.restart(&AUDITED).await;
    // At midnight (UTC) the allowance begins anew: then all of the last may count, but never all.
    let aside = metric(&rig, "slarouter_ratings_set_aside{route=\"default\"}").await;
    let labels = metric(&rig, "slarouter_labelled_decisions{route=\"default\"}").await;
    assert!(aside >= 1.0 && labels >= 2.0 && aside + labels == 5.0, "{aside} set aside, {labels} counted");
    rig.stop().await;
}

/// Many speak first; then one, whose share of what is said is one word, until others have said enough.
#[tokio::test]
async fn a_rater_has_no_more_than_a_share_of_what_is_said() {
    let settings = Settings { feedback: "rater_limit = 0", ..AUDITED };
    let mut rig = Rig::start(&settings).await;
    for round in 0..18 {
        let answer = rig.ask(false).await;
        let rater = if round < 12 { format!("user {round}") } else { "eve".to_owned() };
        let body = json!({ "id": id(&answer), "rating": if round < 12 { "up" } else { "down" }, "rater": rater });
        assert_eq!(say(&rig, body).await, (202, json!({ "id": id(&answer), "status": "recorded" })));
        if round == 15 {
            rig = rig.restart(&settings).await;
        }
    }
    let rig = rig.restart(&settings).await;
    let aside = metric(&rig, "slarouter_ratings_set_aside{route=\"default\"}").await;
    let labels = metric(&rig, "slarouter_labelled_decisions{route=\"default\"}").await;
    // Among a dozen her share is 2 of 13: two words where all spoke of one model, and one of the other model.
    assert!(aside >= 3.0 && aside + labels == 18.0, "{aside} set aside, {labels} counted");
    rig.stop().await;
}
