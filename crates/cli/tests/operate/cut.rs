//! Gateways that do not reach their database, or late, while the others do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use slarouter_testkit::{Daemon, Database, Link, Postgres, Upstream, Way, until};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::crowd::{
    Crowd, KEY, Said, all_know_the_same, ask, ask_and_rate, check, decision_id, holder, on, send_away,
    until_another_holds,
};
use crate::{client, serve, write};

/// How long a client waits for a gateway that waits for its database.
const PATIENCE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(10);

/// Three gateways, of which the first has a network of its own to the database.
struct Three {
    _folder: TempDir,
    _upstream: Upstream,
    database: Database,
    config: PathBuf,
    link: Link,
    daemons: Vec<Daemon>,
    crowd: Arc<Crowd>,
    clients: Vec<JoinHandle<()>>,
}

fn config(folder: &Path, name: &str, url: &str, upstream: &str) -> PathBuf {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    write(&folder, &on(url, &folder, upstream, 50))
}

impl Three {
    /// The first one holds the log, or follows.
    async fn start(first_holds: bool) -> Self {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
        let database = Postgres::shared().database();
        let (link, url) = database.link().await;
        let direct = config(folder.path(), "direct", &database.url(), &upstream.base_url());
        let linked = config(folder.path(), "linked", &url, &upstream.base_url());
        let mut daemons = Vec::new();
        let order = if first_holds { [&linked, &direct, &direct] } else { [&direct, &linked, &direct] };
        for config in order {
            daemons.push(serve(config, &["--log", "error"]).await);
        }
        if !first_holds {
            daemons.swap(0, 1);
        }
        let crowd = Crowd::new(PATIENCE, PACE);
        crowd.are_at(&daemons);
        let clients = (0..4).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 1_000))).collect();
        crowd.until_rated(40).await;
        assert_eq!(holder(&database) == daemons[0].id(), first_holds);
        Self { _folder: folder, _upstream: upstream, database, config: direct, link, daemons, crowd, clients }
    }

    /// Asks the gateway that is cut off: the answers come. And rates one there: either it says that it could not take the rating, or that one counts.
    /// The ids of the answers.
    async fn serves_all_the_same(&self) -> Vec<String> {
        let (http, base) = (client(), format!("http://{}", self.daemons[0].addr()));
        let mut asked = Vec::new();
        for n in 0..30 {
            asked.push(ask(&http, &base, &format!("are you there? {n}")).await.unwrap());
        }
        let body = json!({ "id": asked[0], "rating": 1 });
        let rated = http.post(format!("{base}/v1/feedback")).bearer_auth(KEY).json(&body).send().await.unwrap();
        let is_acknowledged = rated.status() == StatusCode::ACCEPTED;
        assert!(
            is_acknowledged || rated.status() == StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            rated.text().await.unwrap()
        );
        let said = Said { rating: Some(1.0), is_acknowledged };
        self.crowd.said.lock().unwrap().insert(decision_id(&asked[0]), said);
        asked
    }

    /// What was asked while nothing passed is in the log once it does.
    async fn until_logged(&self, asked: &[String]) {
        let ids: Vec<_> = asked.iter().map(|id| format!("'{}'", uuid::Uuid::from_u128(decision_id(id).0))).collect();
        let count = format!("SELECT count(*) FROM decisions WHERE id IN ({})", ids.join(", "));
        let all = asked.len().to_string();
        until("what it kept is in the log", async || self.database.run(&count).trim() == all).await;
    }

    async fn end(self) {
        self.crowd.until_rated(40).await;
        self.crowd.stop();
        for client in self.clients {
            client.await.unwrap();
        }
        all_know_the_same(&self.daemons, &self.database).await;
        send_away(self.daemons, &self.database).await;
        let found = check(&self.database, &self.config, &self.crowd).await;
        assert_eq!((found.lost, found.waiting), (0, 0), "no gateway was killed: {found:?}");
    }
}

/// The holder is cut off for longer than its term.
async fn cut_off_holder(way: Way) {
    let three = Three::start(true).await;
    let old = three.daemons[0].id().unwrap();
    three.link.set(way, way);
    let (asked, ()) = tokio::join!(three.serves_all_the_same(), until_another_holds(&three.database, old));
    three.crowd.until_rated(40).await;
    three.link.set(Way::Open, Way::Open);
    three.until_logged(&asked).await;
    assert!(holder(&three.database).is_some_and(|now| now != old), "it follows");
    three.end().await;
}

async fn cut_off_follower(there: Way, back: Way) {
    let three = Three::start(false).await;
    let before = holder(&three.database);
    three.link.set(there, back);
    let asked = three.serves_all_the_same().await;
    three.crowd.until_rated(40).await;
    three.link.set(Way::Open, Way::Open);
    three.until_logged(&asked).await;
    assert_eq!(holder(&three.database), before, "nobody else was concerned");
    three.end().await;
}

async fn far_away(first_holds: bool) {
    const LATE: Way = Way::Late(Duration::from_millis(150));
    let three = Three::start(first_holds).await;
    let before = holder(&three.database);
    three.link.set(LATE, LATE);
    // More than one that is slow could take part in, at the others.
    three.crowd.are_at(&three.daemons[1..]);
    three.crowd.until_rated(300).await;
    three.crowd.are_at(&three.daemons);
    three.crowd.until_rated(60).await;
    // One that holds the log and is so slow that its term ends within a transaction gives it to one that is nearer.
    assert!(first_holds || holder(&three.database) == before, "nobody else was concerned");
    three.link.set(Way::Open, Way::Open);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_cut_off_serves_on_and_follows_once_it_is_back() {
    // What it had under way arrives late, or never.
    tokio::join!(Box::pin(cut_off_holder(Way::Held)), Box::pin(cut_off_holder(Way::Lost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_cut_off_either_way_serves_on_and_sends_later_what_it_kept() {
    // What it sends arrives, and it does not hear of it; or it cannot say anything.
    let pair = (cut_off_follower(Way::Open, Way::Held), cut_off_follower(Way::Lost, Way::Open));
    tokio::join!(Box::pin(pair.0), Box::pin(pair.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_far_from_its_database_holds_nobody_up() {
    tokio::join!(Box::pin(far_away(true)), Box::pin(far_away(false)));
}
