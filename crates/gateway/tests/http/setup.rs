//! A gateway with two models on one scripted upstream.

use serde_json::{Value, json};
use slarouter_config::Config;
use slarouter_gateway::Gateway;
use slarouter_learner::Learning;
use slarouter_store::{Event, OutcomeRecord, Snapshot};
use slarouter_testkit::Upstream;
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    pub(crate) client: reqwest::Client,
    folder: TempDir,
}

/// Sections of the configuration file, added to.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) server: &'static str,
    pub(crate) upstream: &'static str,
    pub(crate) store: &'static str,
    pub(crate) feedback: &'static str,
    /// Keys of `[features]`, and further sections; `UPSTREAM` stands for the base URL of the upstream.
    pub(crate) features: String,
    /// Keys of the first model; a `price` comes first.
    pub(crate) small: &'static str,
    /// Its base URL, if it is not the upstream's.
    pub(crate) small_url: Option<String>,
    /// Keys of the route in place of a fixed policy.
    pub(crate) route: Option<&'static str>,
}

/// What a gateway that has been shut down left behind.
pub(crate) struct Left {
    pub(crate) outcomes: Vec<OutcomeRecord>,
    pub(crate) saved: Vec<Snapshot>,
    pub(crate) events: Vec<Event>,
}

impl Rig {
    /// The route asks `small` first and falls back to `large`; the upstream knows them as `a/ok` and `b/ok`.
    pub(crate) async fn start(settings: &Settings) -> Self {
        Self::resume(settings, Upstream::start().await, TempDir::new().unwrap()).await
    }

    /// The same with a database that may be there already.
    pub(crate) async fn resume(settings: &Settings, upstream: Upstream, folder: TempDir) -> Self {
        let gateway = Gateway::start(config(settings, &upstream, &folder)).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { upstream, gateway, client, folder }
    }

    /// The same configuration and database once more.
    pub(crate) fn config(&self) -> Config {
        config(&Settings::default(), &self.upstream, &self.folder)
    }

    /// Stops and starts again on the same database.
    pub(crate) async fn restart(self, settings: &Settings) -> Self {
        let Self { upstream, gateway, client, folder } = self;
        drop(client);
        gateway.shutdown().await;
        Self::resume(settings, upstream, folder).await
    }

    pub(crate) fn folder(&self) -> &TempDir {
        &self.folder
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.addr())
    }

    pub(crate) fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(self.url("/v1/chat/completions")).json(body)
    }

    pub(crate) async fn ask(&self, stream: bool) -> reqwest::Response {
        self.post(&question(stream)).send().await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    /// The upstream's names of the models that were called, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        let model = |request: &slarouter_testkit::Received| request.json()["model"].as_str().unwrap().to_owned();
        self.upstream.requests().iter().map(model).collect()
    }

    /// Shuts down and reads the log.
    pub(crate) async fn stop(self) -> Left {
        let Self { gateway, client, folder, .. } = self;
        // Its connections end, so that nobody waits for its next request.
        drop(client);
        gateway.shutdown().await;
        read(&folder).await
    }

    /// The parts, for a test that shuts down by itself; the folder is for [`read`].
    pub(crate) fn into_parts(self) -> (Upstream, Gateway, TempDir) {
        (self.upstream, self.gateway, self.folder)
    }
}

/// Whether the saved state is what the log says, as `slarouter verify` finds out; the replayed learners.
pub(crate) async fn verified(folder: &TempDir) -> Learning {
    let store = slarouter_store::open(&url(folder)).await.unwrap();
    let mut saved = Learning::load(store.as_ref()).await.unwrap();
    saved.catch_up(store.as_ref()).await.unwrap();
    let mut replayed = Learning::empty();
    replayed.catch_up(store.as_ref()).await.unwrap();
    store.close().await;
    assert_eq!((saved.seq(), replayed.refused()), (replayed.seq(), 0));
    assert!(saved.states().unwrap() == replayed.states().unwrap(), "saved state and log differ");
    replayed
}

/// The log, once no gateway has it open.
pub(crate) async fn read(folder: &TempDir) -> Left {
    let store = slarouter_store::open(&url(folder)).await.unwrap();
    let events = store.events_after(0, 1_000_000).await.unwrap();
    let outcome =
        |event: &Event| if let Event::Finished { outcome, .. } = event { Some(outcome.clone()) } else { None };
    let saved = store.load_snapshots().await.unwrap();
    // Whatever a test did: the saved state is what replaying the log gives.
    let mut again = Learning::empty();
    again.catch_up(store.as_ref()).await.unwrap();
    let states = saved.iter().map(|saved| (saved.route.clone(), saved.state.clone())).collect::<Vec<_>>();
    assert_eq!((again.states().unwrap(), again.refused()), (states, 0));
    let left = Left { outcomes: events.iter().filter_map(outcome).collect(), saved, events };
    store.close().await;
    left
}

pub(crate) fn question(stream: bool) -> Value {
    json!({ "model": "auto", "stream": stream, "messages": [{ "role": "user", "content": "one two" }] })
}

/// One chunk of a streamed answer.
pub(crate) fn chunk(content: &str, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": { "content": content }, "finish_reason": finish });
    let body = json!({ "id": "up", "object": "chat.completion.chunk", "model": "x", "choices": [choice] });
    format!("data: {body}\n\n")
}

/// The error object of a body, checked for the shape that OpenAI's clients read.
pub(crate) fn error(body: &Value) -> &Value {
    let error = &body["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
    assert!(error.get("param").is_some() && error.get("code").is_some(), "{body}");
    error
}

/// A configuration whose upstream nobody asks.
pub(crate) fn detached(settings: &Settings, folder: &TempDir) -> Config {
    configured(settings, "http://127.0.0.1:1/v1", folder)
}

pub(crate) fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("log.db").display())
}

fn config(settings: &Settings, upstream: &Upstream, folder: &TempDir) -> Config {
    configured(settings, &upstream.base_url(), folder)
}

fn configured(settings: &Settings, base_url: &str, folder: &TempDir) -> Config {
    let model = |name: &str, upstream_model: &str, base_url: &str, more: &str| {
        let price = if more.starts_with("price") { "" } else { "price = { input = 1, output = 2 }" };
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nupstream_model = \"{upstream_model}\"\n\
             {price}\n{more}\n"
        )
    };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{}\n[store]\nurl = '{}'\n{}\n[upstream]\n{}\n[feedback]\n{}\n[features]\n{}\n{}{}\
         [routes.default]\nmodels = [\"small\", \"large\"]\nsla = {{ satisfaction = 0.9 }}\n{}\n",
        settings.server,
        url(folder),
        settings.store,
        settings.upstream,
        settings.feedback,
        settings.features.replace("UPSTREAM", base_url),
        model("small", "a/ok", settings.small_url.as_deref().unwrap_or(base_url), settings.small),
        model("large", "b/ok", base_url, ""),
        settings.route.unwrap_or("policy = \"fixed:small\""),
    );
    Config::parse(&text, &|_| None).unwrap()
}
