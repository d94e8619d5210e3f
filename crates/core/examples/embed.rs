//! The core in a service of your own: it says which model to ask, and learns from ratings (docs/embed.md).
use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use slarouter_core::{policy::CertifiedParams, *};
use slarouter_text::{Conversation, DIM, VERSION, features};

/// What is learnt, and what was decided; a real service logs decisions and ratings, and makes the same state of them again.
type Shared = Arc<Mutex<(Learner, Vec<(Decision, Vec<f32>)>)>>;

/// Two models, of which `large` is trusted, and α = 0.8.
pub(crate) fn service() -> Result<Router, SpecError> {
    let model = |name, usd| ModelSpec::new(name, Price { input: usd, output: usd });
    let zoo = Zoo::new(vec![model("small", 0.2), model("large", 5.0)])?;
    let params = CertifiedParams { fallback: Some("large".to_owned()), ..CertifiedParams::default() };
    let route = RouteSpec::new(Alpha::new(0.8)?, zoo, PolicySpec::Certified(params));
    let shared = Shared::new(Mutex::new((Learner::new(route, DIM, VERSION)?, Vec::new())));
    Ok(Router::new().route("/choose", post(choose)).route("/rate", post(rate)).with_state(shared))
}

/// `"a prompt"` in; out the id of the decision, its model, and the probability with which that was drawn.
async fn choose(State(shared): State<Shared>, Json(prompt): Json<String>) -> Result<Json<Value>, StatusCode> {
    let (learner, decided) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (asked, id) = (Conversation::from_prompt(&prompt), decided.len());
    let features = features(&asked);
    let context = Context { features: &features, input_tokens: asked.input_tokens().into(), excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(1, DecisionId(id as u128)));
    let decision = decision.map_err(|_| StatusCode::BAD_REQUEST)?;
    learner.decided(&decision, Timestamp(id as u64));
    let told = json!({ "id": id, "model": &*decision.choice().model, "propensity": decision.propensity() });
    decided.push((decision, features));
    Ok(Json(told))
}

/// `[id, rating]` in, as in `[7, 1.0]`.
async fn rate(State(shared): State<Shared>, Json((id, rating)): Json<(usize, f64)>) -> Result<(), StatusCode> {
    let (learner, decided) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (decision, features) = decided.get(id).ok_or(StatusCode::NOT_FOUND)?;
    let (model, predicted) = (&*decision.choice().model, decision.choice().satisfaction);
    let (decided_at, reason, order) = (Timestamp(id as u64), decision.reason, id as u64);
    let rating = Some(Rating::new(rating).map_err(|_| StatusCode::BAD_REQUEST)?);
    let (decision, source, rater) = (DecisionId(id as u128), Source::User, Rater(0));
    let feedback = Feedback { decision, decided_at, model, reason, features, predicted, source, rater, rating, order };
    learner.observe(&feedback, decided_at).map(|_| ()).map_err(|_| StatusCode::BAD_REQUEST)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8090").await?, service()?).await.map_err(Into::into)
}
