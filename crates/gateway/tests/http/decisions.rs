//! Decisions that the caller carries out, and the description of the interface.

use serde_json::{Value, json};

use crate::setup::{Rig, Settings};

async fn post(rig: &Rig, path: &str, body: &Value) -> (u16, Value) {
    let reply = rig.client.post(rig.url(path)).json(body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn a_decision_alone_calls_nobody_and_its_outcome_counts_once() {
    let rig = Rig::start(&Settings::default()).await;
    let bodies = [
        json!({ "messages": [{ "role": "user", "content": "one two" }] }),
        json!({ "model": "auto:default", "input": "one two", "instructions": "Be brief." }),
        json!({ "system": "Be brief.", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "one two" }] }] }),
    ];
    let mut ids = Vec::new();
    for body in &bodies {
        let (status, decision) = post(&rig, "/v1/route", body).await;
        assert_eq!((status, &decision["model"], &decision["upstream_model"]), (200, &json!("small"), &json!("a/ok")));
        assert_eq!((&decision["route"], &decision["alpha"]), (&json!("default"), &json!(0.9)));
        assert_eq!(decision["propensity"], 1.0);
        let candidates = decision["candidates"].as_array().unwrap();
        assert_eq!(candidates.len(), 2);
        assert!(candidates.iter().all(|candidate| candidate["predicted_cost_usd"].as_f64().unwrap() > 0.0));
        ids.push(decision["id"].clone());
    }
    assert!(rig.called().is_empty());

    let usage = json!({ "input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 5 });
    let report = json!({ "id": ids[0], "usage": usage, "latency_ms": 12.5 });
    for status in ["recorded", "duplicate"] {
        let (code, receipt) = post(&rig, "/v1/outcomes", &report).await;
        assert_eq!((code, &receipt["id"], &receipt["status"]), (202, &ids[0], &json!(status)));
    }
    let other = json!({ "id": ids[1], "model": "large", "ok": false, "cost": 0.25, "error": "it broke" });
    assert_eq!(post(&rig, "/v1/outcomes", &other).await.1["status"], "recorded");
    let rated = post(&rig, "/v1/feedback", &json!({ "id": ids[2], "rating": "up" })).await;
    assert_eq!((rated.0, &rated.1["id"]), (202, &ids[2]));

    let metrics = rig.metrics().await;
    assert!(metrics.contains("slarouter_requests_total{route=\"default\",model=\"large\""), "{metrics}");
    let left = rig.stop().await;
    let [first, second] = &left.outcomes[..] else { panic!("the third was never reported: {:?}", left.outcomes) };
    assert_eq!((first.ok, first.status, first.attempts, &*first.model), (true, 200, 0, "small"));
    assert_eq!((first.input_tokens, first.cached_tokens, first.output_tokens), (Some(10.0), Some(3.0), Some(5.0)));
    assert!((first.cost - 20e-6).abs() < 1e-12 && first.latency_ms == 12.5, "{first:?}");
    assert_eq!((second.ok, second.cost, &*second.model), (false, 0.25, "large"));
    assert_eq!(second.error.as_deref(), Some("it broke"));
}

#[tokio::test]
async fn what_is_wrong_with_a_decision_or_an_outcome_is_named() {
    let rig = Rig::start(&Settings::default()).await;
    for (body, code, param) in [
        (json!({}), "missing_required_parameter", "messages"),
        (json!({ "model": "none", "input": "x" }), "model_not_found", "model"),
        (json!({ "messages": [] }), "empty_array", "messages"),
        (json!({ "input": [] }), "empty_array", "input"),
        (json!({ "messages": 7 }), "invalid_messages", "messages"),
        (json!([]), "invalid_json", ""),
    ] {
        let (status, refusal) = post(&rig, "/v1/route", &body).await;
        assert!(status == 400 || status == 404, "{body}");
        assert_eq!(refusal["error"]["code"], code, "{body}");
        assert_eq!(refusal["error"]["param"].as_str().unwrap_or_default(), param, "{body}");
    }
    let id = post(&rig, "/v1/route", &json!({ "input": "x" })).await.1["id"].clone();
    let answered = rig.ask(false).await.json::<Value>().await.unwrap()["id"].clone();
    let stranger = "route-01890a5d-ac96-774b-bcce-b302099a8057";
    for (body, status, param) in [
        (json!({ "id": "x" }), 400, "id"),
        (json!({ "id": answered }), 400, "id"),
        (json!({ "id": stranger }), 404, "id"),
        (json!({ "id": id, "model": "none" }), 400, "model"),
        (json!({ "id": id, "usage": {} }), 400, "usage"),
        (json!({ "id": id, "usage": { "input_tokens": 1e300, "output_tokens": 1 } }), 400, "usage"),
        (json!({ "id": id, "cost": -1 }), 400, "cost"),
        (json!({ "id": id, "latency_ms": -1 }), 400, "latency_ms"),
        (json!({ "id": id, "costs": 1 }), 400, "costs"),
        (json!({ "cost": 1 }), 400, "id"),
    ] {
        let (found, refusal) = post(&rig, "/v1/outcomes", &body).await;
        assert_eq!(found, status, "{body}: {refusal}");
        assert_eq!(refusal["error"]["param"].as_str().unwrap_or_default(), param, "{body}");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 1, "that of the answer");
}

/// The description is made from the router; here it is held against the router that runs and against the manual.
#[tokio::test]
async fn the_description_has_every_path() {
    let rig = Rig::start(&Settings::default()).await;
    let document: Value = rig.client.get(rig.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{method} {path}");
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = rig.url(&path.replace("{id}", "auto"));
            let reply = rig.client.request(method.clone(), url).send().await.unwrap();
            let (status, body) = (reply.status(), reply.text().await.unwrap());
            assert!(status != 405 && !body.contains("\"not_found\""), "{method} {path}: {body}");
        }
    }
    let manual = include_str!("../../../../docs/api.md");
    let rows = manual.lines().filter(|line| line.starts_with("| `POST /") || line.starts_with("| `GET /"));
    let mut told: Vec<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|word| word.trim().trim_matches('`').trim_start_matches("POST ").trim_start_matches("GET ").to_owned())
        .collect();
    told.sort();
    assert_eq!(told, paths.keys().cloned().collect::<Vec<_>>());
    let references = document.to_string();
    for reference in references.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
