//! The dashboard: who gets in, what it says of itself to browsers, and that what clients wrote is text.

use reqwest::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::json;

use crate::setup::{Rig, Settings, question};

const KEYS: &str = "admin_listen = \"127.0.0.1:0\"\n\
    [[keys]]\nname = \"asks\"\nkey = \"sixteen-letters-inference\"\nscopes = [\"inference\", \"feedback\"]\n\
    [[keys]]\nname = \"sees\"\nkey = \"sixteen-letters-view\"\nscopes = [\"view\"]\n\
    [[keys]]\nname = \"player\"\nkey = \"sixteen-letters-player\"\nscopes = [\"view\", \"inference\", \"feedback\"]\n";

/// A browser at the operator's listener: follows no redirect and keeps no cookie by itself.
struct Browser {
    client: Client,
    base: String,
    cookie: String,
}

impl Browser {
    fn at(rig: &Rig) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let base = format!("http://{}", rig.gateway.admin_addr().unwrap());
        Self { client, base, cookie: String::new() }
    }

    async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base));
        request.header(COOKIE, &self.cookie).send().await.unwrap()
    }

    async fn post(&self, path: &str, origin: &str, body: &str) -> Response {
        let request = self.client.post(format!("{}{path}", self.base)).header(COOKIE, &self.cookie);
        let request = request.header(ORIGIN, origin).header("content-type", "application/x-www-form-urlencoded");
        request.body(body.to_owned()).send().await.unwrap()
    }

    /// Logs in; the status of the answer.
    async fn log_in(&mut self, key: &str) -> u16 {
        let answer = self.post("/dashboard/login", &self.base.clone(), &format!("key={key}&to=%2Fdashboard")).await;
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        answer.status().as_u16()
    }
}

fn place(answer: &Response) -> &str {
    answer.headers().get(LOCATION).map_or("", |to| to.to_str().unwrap())
}

#[tokio::test]
async fn a_key_that_may_look_is_exchanged_for_a_session_which_a_logout_ends() {
    let rig = Rig::start(&Settings { server: KEYS, ..Settings::default() }).await;
    let mut browser = Browser::at(&rig);
    let turned_away = browser.get("/dashboard/decisions?route=default").await;
    assert_eq!(
        (turned_away.status(), place(&turned_away)),
        (303.try_into().unwrap(), "/dashboard/login?to=%2Fdashboard%2Fdecisions%3Froute%3Ddefault")
    );
    let form = browser.get(place(&turned_away)).await.text().await.unwrap();
    assert!(
        form.contains("type=\"password\"") && form.contains("value=\"/dashboard/decisions?route=default\""),
        "{form}"
    );

    for (key, status) in [("wrong-key-of-no-one", 401), ("", 401), ("sixteen-letters-inference", 403)] {
        assert_eq!(browser.log_in(key).await, status, "{key}");
        assert_eq!(browser.cookie, "", "{key}");
    }
    assert_eq!(browser.log_in("sixteen-letters-view").await, 303);
    let page = browser.get("/dashboard").await;
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin"), ("cache-control", "no-store")]
    {
        assert_eq!(page.headers()[name], value);
    }
    let html = page.text().await.unwrap();
    assert!(html.contains("default") && html.contains("Log out") && !html.contains("<script>"), "{html}");
    assert_eq!(browser.get("/admin/decisions").await.status(), 200, "the scripts of the page may read too");

    let gone = browser.post("/dashboard/logout", "https://evil.example", "").await;
    assert_eq!((gone.status().as_u16(), browser.get("/dashboard").await.status().as_u16()), (403, 200));
    let gone = browser.post("/dashboard/logout", &browser.base, "").await;
    assert_eq!((gone.status().as_u16(), place(&gone)), (303, "/dashboard/login"));
    assert_eq!(browser.get("/dashboard").await.status(), 303, "the cookie alone is worth nothing any more");
    assert_eq!(browser.get("/admin/decisions").await.status(), 401);
    rig.stop().await;
}

#[tokio::test]
async fn a_login_from_another_page_is_refused() {
    let rig = Rig::start(&Settings { server: KEYS, ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", ""] {
        let answer = browser.post("/dashboard/login", origin, "key=sixteen-letters-view").await;
        assert!(answer.status() == 403 && answer.headers().get(SET_COOKIE).is_none(), "{origin}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_revoked_key_ends_its_sessions() {
    let settings = Settings {
        server: "admin_listen = \"127.0.0.1:0\"\nadmin_keys = [\"sixteen-letters-0\"]",
        ..Settings::default()
    };
    let rig = Rig::start(&settings).await;
    let mut browser = Browser::at(&rig);
    let keys = format!("{}/admin/keys", browser.base);
    let new = json!({ "name": "eyes", "grants": { "scopes": ["view"] } });
    let made = browser.client.post(&keys).bearer_auth("sixteen-letters-0").json(&new).send().await.unwrap();
    let made: serde_json::Value = made.json().await.unwrap();
    assert_eq!(browser.log_in(made["key"].as_str().unwrap()).await, 303);
    assert_eq!(browser.get("/dashboard").await.status(), 200);
    let url = format!("{keys}/{}", made["id"].as_str().unwrap());
    assert_eq!(browser.client.delete(url).bearer_auth("sixteen-letters-0").send().await.unwrap().status(), 200);
    assert_eq!(browser.get("/dashboard").await.status(), 303);
    rig.stop().await;
}

#[tokio::test]
async fn each_table_of_a_page_is_there_as_csv() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    let answer: serde_json::Value = rig.ask(false).await.json().await.unwrap();
    let id = answer["id"].as_str().unwrap();
    let rating = json!({ "id": id, "rating": "down", "comment": "=1+1, \"or so\"" });
    assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);
    let (route, decision) = ("/dashboard/routes/default".to_owned(), format!("/dashboard/decisions/{id}"));
    let own = |table: &str| format!("/admin/decisions/{id}/{table}");
    for (page, table, head, line) in [
        (&route, "/admin/routes/default/models.csv".to_owned(), "model,requests,ratings,", "small,"),
        (&route, "/admin/routes/default/signals.csv".to_owned(), "what,now,state", "Learner,"),
        (&route, "/admin/routes/default/upstreams.csv".to_owned(), "model,whole_median_ms,", "small,,,,,0,1,closed"),
        (&route, "/admin/routes/default/calibration.csv".to_owned(), "predicted_from,ratings,", "0.5,1,0.5,0"),
        (&decision, own("candidates.csv"), "model,chosen,excluded,probability,", "small,true,false,1,"),
        (&decision, own("feedback.csv"), "time,source,rating,receipt,comment", "20"),
    ] {
        let html = browser.get(page).await.text().await.unwrap();
        assert!(html.contains(&format!("href=\"{table}\"")), "{table} is not in {html}");
        let csv = browser.get(&table).await.text().await.unwrap();
        assert!(csv.starts_with(head) && csv.lines().skip(1).any(|found| found.starts_with(line)), "{csv}");
    }
    let words = browser.get(&own("feedback.csv")).await.text().await.unwrap();
    assert!(words.ends_with(",user,0,recorded,\"'=1+1, \"\"or so\"\"\"\n"), "no formula, and one cell: {words}");
    for table in ["models", "signals", "upstreams", "calibration", "marks"] {
        assert_eq!(browser.get(&format!("/admin/routes/none/{table}.csv")).await.status(), 404, "{table}");
    }
    assert_eq!(browser.get("/admin/decisions/x/feedback.csv").await.status(), 404);
    assert_eq!(browser.get("/admin/routes/default/marks.csv?range=2y").await.status(), 400);
    rig.stop().await;
}

#[tokio::test]
async fn while_there_is_no_key_the_machine_itself_may_look_and_nobody_else() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    assert_eq!(browser.get("/dashboard").await.status(), 200);
    assert!(browser.get("/dashboard/login").await.text().await.unwrap().contains("Open the dashboard"));
    let url = format!("{}/dashboard", browser.base);
    for (name, value) in [("host", "evil.example"), ("sec-fetch-site", "cross-site"), ("x-forwarded-for", "10.0.0.1")] {
        let answer = browser.client.get(&url).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{name}");
        let login = browser.client.post(format!("{url}/login")).header(ORIGIN, &browser.base).header(name, value);
        assert_eq!(login.body("key=").send().await.unwrap().status(), 403, "{name}");
    }
    assert_eq!(rig.client.get(rig.url("/dashboard")).send().await.unwrap().status(), 404, "it is the operator's alone");
    rig.stop().await;
}

#[tokio::test]
async fn what_clients_wrote_is_text_and_what_is_not_there_is_said() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    let answer: serde_json::Value = rig.post(&question(false)).send().await.unwrap().json().await.unwrap();
    let id = answer["id"].as_str().unwrap();
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
    let rating = json!({ "id": id, "rating": "down", "rater": hostile, "comment": hostile });
    assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);
    let html = browser.get(&format!("/dashboard/decisions/{id}")).await.text().await.unwrap();
    assert!(
        html.contains("&#60;script&#62;alert(1)") && !html.contains("<script>") && !html.contains("<img"),
        "{html}"
    );
    assert!(html.contains("Why small") && html.contains("It was answered in"), "{html}");

    let list = browser.get("/dashboard/decisions").await.text().await.unwrap();
    assert!(list.contains(&format!("/dashboard/decisions/{id}")), "{list}");
    let none = browser.get("/dashboard/decisions?reason=affinity").await.text().await.unwrap();
    assert!(none.contains("No decision fits"), "{none}");
    let route = browser.get("/dashboard/routes/default").await.text().await.unwrap();
    assert!(route.contains("Objective") && route.contains("large"), "{route}");
    for (path, status) in [
        ("/dashboard/decisions/%3Cscript%3E", 404),
        ("/dashboard/routes/%3Cscript%3E", 404),
        ("/dashboard/decisions?limit=0", 400),
        ("/dashboard/decisions?%3Cscript%3E=1", 400),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let html = answer.text().await.unwrap();
        assert!(html.contains("To the overview") && !html.contains("<script>"), "{path}: {html}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn files_are_kept_for_ever_under_an_address_that_holds_their_hash() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    let html = browser.get("/dashboard").await.text().await.unwrap();
    let style = html.split('"').find(|part| part.ends_with("/style.css")).unwrap();
    let file = browser.get(style).await;
    assert_eq!(file.headers()["content-type"], "text/css; charset=utf-8");
    assert!(file.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(browser.get("/dashboard/assets/0/style.css").await.status(), 404);
    rig.stop().await;
}

#[tokio::test]
async fn the_playground_asks_as_the_key_that_was_shown_and_from_its_own_page_alone() {
    let rig = Rig::start(&Settings { server: KEYS, ..Settings::default() }).await;
    let mut browser = Browser::at(&rig);
    let ask = async |browser: &Browser, path: &str, origin: Option<&str>, body: &serde_json::Value| {
        let request = browser.client.post(format!("{}{path}", browser.base)).header(COOKIE, &browser.cookie).json(body);
        let request = origin.into_iter().fold(request, |request, origin| request.header(ORIGIN, origin));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (own, asked) = (browser.base.clone(), question(false));
    assert_eq!(ask(&browser, "/v1/chat/completions", Some(&own), &asked).await.0, 401);
    browser.log_in("sixteen-letters-view").await;
    let (status, refusal) = ask(&browser, "/v1/chat/completions", Some(&own), &asked).await;
    assert_eq!((status, &refusal["error"]["code"]), (403, &json!("insufficient_scope")));
    assert!(!browser.get("/dashboard").await.text().await.unwrap().contains("Playground"));

    assert_eq!(browser.log_in("sixteen-letters-player").await, 303);
    assert!(browser.get("/dashboard/playground").await.text().await.unwrap().contains("auto:default"));
    for origin in [None, Some("http://127.0.0.1:1"), Some("null")] {
        let (status, refusal) = ask(&browser, "/v1/chat/completions", origin, &asked).await;
        assert_eq!((status, &refusal["error"]["code"]), (403, &json!("not_own_page")), "{origin:?}");
    }
    let (status, answer) = ask(&browser, "/v1/chat/completions", Some(&own), &asked).await;
    assert_eq!((status, &answer["choices"][0]["message"]["role"]), (200, &json!("assistant")));
    let rating = json!({ "id": answer["id"], "rating": "up" });
    assert_eq!(ask(&browser, "/v1/feedback", Some(&own), &rating).await.0, 202);
    rig.stop().await;
}

#[tokio::test]
async fn a_route_over_time_comes_as_columns_of_one_length_and_as_a_table() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let browser = Browser::at(&rig);
    let answer = browser.get("/admin/routes/default/series?range=1h&step=5").await;
    assert_eq!(answer.status(), 200);
    let series: serde_json::Value = answer.json().await.unwrap();
    let columns = series["columns"].as_object().unwrap();
    let times = columns["time_ms"].as_array().unwrap();
    assert!((12..=13).contains(&times.len()), "{times:?}");
    assert!(columns.values().all(|column| column.as_array().unwrap().len() == times.len()), "{series}");
    assert_eq!(times[1].as_f64().unwrap() - times[0].as_f64().unwrap(), 300_000.0);
    let table = browser.get("/admin/routes/default/series?range=1h&step=5&format=csv").await.text().await.unwrap();
    assert!(table.starts_with("time_ms,alpha,lower,estimate,upper,requests,"), "{table}");
    assert_eq!(table.lines().count(), times.len() + 1);
    for (path, status) in [
        ("/admin/routes/none/series", 404),
        ("/admin/routes/default/series?range=1y", 400),
        ("/admin/routes/default/series?range=90d&step=1", 400),
        ("/dashboard/routes/default?range=7d", 200),
        ("/dashboard/routes/default?range=1y", 400),
    ] {
        assert_eq!(browser.get(path).await.status(), status, "{path}");
    }
    rig.stop().await;
}
