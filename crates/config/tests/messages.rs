//! Slips that many make, and the words that mend them: keys that are none, keys that are missing, addresses, URLs, targets.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::{IpAddr, SocketAddr};

use slarouter_config::{Config, Sources};

const RAW: &str =
    concat!(include_str!("../src/raw.rs"), include_str!("../src/raw/price.rs"), include_str!("../src/raw/takes.rs"));

/// Every table that there is, with every key that must be there.
const WHOLE: &str = r#"[server]
listen = "127.0.0.1:1"
tls = { cert = "c", key = "k" }
[store]
queue = 1
[upstream]
hedge = { quantile = 0.9 }
[feedback]
judge = { model = "m", usd_per_day = 5 }
[features]
encoder = "hashed"
[telemetry]
queue = 1
[[keys]]
name = "web"
key = "sixteen-letters-1"
scopes = ["feedback"]
limits = { usd_per_day = 1 }
[tenants.acme]
usd_per_day = 1
[[models]]
name = "m"
base_url = "http://h/v1"
price = [{ input = 1, output = 1 }, { from = 2026-12-01, input = 2, output = 2, long = { above = 3, input = 4, output = 5 } }]
health_check = { path = "/x" }
[routes.chat]
models = ["m"]
policy = "slarouter"
sla = { satisfaction = 0.9 }
slarouter = { v = 1 }
[routes.chat.tenants.acme]
exploration = 0
[[alerts]]
url = "http://h/x"
"#;

/// A system without environment and files, that knows some hosts.
struct Hosts;

impl Sources for Hosts {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "URL").then(|| "http://h/v1/chat/completions".to_owned())
    }

    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match host {
            "gateway.internal" => Ok(vec!["fd00::7".parse().unwrap(), "10.0.0.7".parse().unwrap()]),
            "six" => Ok(vec!["fd00::6".parse().unwrap()]),
            _ => Err("this name cannot be resolved: no such host; write the IP address".to_owned()),
        }
    }
}

fn told(text: &str) -> String {
    Config::parse_with(text, &Hosts).map(|_| String::new()).unwrap_or_else(|errors| errors.to_string())
}

#[test]
fn the_whole_is_sound() {
    assert_eq!(told(WHOLE), "");
}

#[test]
fn a_key_that_is_none_is_told_what_was_meant_in_every_table() {
    for (table, slip, meant) in [
        ("[server]\n", "listn = 1", "listen"),
        ("[server]\n", "api_key = []", "api_keys"),
        ("tls = { ", "client_cas = \"x\", ", "client_ca"),
        ("[store]\n", "keep_prompt = true", "keep_prompts"),
        ("[upstream]\n", "max_attempt = 1", "max_attempts"),
        ("hedge = { ", "min = 1, ", "min_s"),
        ("[feedback]\n", "audit_rates = 1", "audit_rate"),
        ("judge = { ", "count_as = \"audit\", ", "counts_as"),
        ("[features]\n", "encodr = \"x\"", "encoder"),
        ("[telemetry]\n", "endpont = \"x\"", "endpoint"),
        ("[[keys]]\n", "scope = []", "scopes"),
        ("limits = { ", "usd_per_mont = 1, ", "usd_per_month"),
        ("[tenants.acme]\n", "request_per_minute = 1", "requests_per_minute"),
        ("[[models]]\n", "baseurl = \"x\"", "base_url"),
        ("price = [{ ", "cache_input = 1, ", "cached_input"),
        ("health_check = { ", "interval = 1, ", "interval_s"),
        ("[routes.chat]\n", "fallbak = \"m\"", "fallback"),
        ("sla = { ", "asurance = 0.9, ", "assurance"),
        ("slarouter = { ", "learning_rat = 1, ", "learning_rate"),
        ("[routes.chat.tenants.acme]\n", "polices = \"x\"", "policy"),
        ("[[alerts]]\n", "shap = \"json\"", "shape"),
        ("", "modles = []", "models"),
    ] {
        let key = slip.split(' ').next().unwrap();
        let line = if slip.ends_with(' ') { slip.to_owned() } else { format!("{slip}\n") };
        let found = told(&WHOLE.replacen(table, &format!("{table}{line}"), 1));
        assert!(found.ends_with(&format!(": unknown key `{key}`: did you mean `{meant}`?")), "{slip}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let found = told(&WHOLE.replace("[tenants.acme]\n", "[tenants.acme]\nport = 1\n"));
    let keys = "`requests_per_minute`, `tokens_per_minute`, `usd_per_day`, `usd_per_month`";
    assert_eq!(found, format!("slarouter.toml:20:1: unknown key `port`: there are {keys}"));
}

#[test]
fn a_key_that_is_missing_is_told_with_whose_it_is() {
    let cases = [
        ("cert = \"c\", ", "3:7: server.tls has no `cert`: write cert = "),
        (", key = \"k\"", "3:7: server.tls has no `key`: write key = "),
        ("model = \"m\", ", "9:9: feedback.judge has no `model`: write model = "),
        (", usd_per_day = 5", "9:9: feedback.judge has no `usd_per_day`: write usd_per_day = "),
        ("quantile = 0.9", "7:9: upstream.hedge has no `quantile`: write quantile = "),
        ("name = \"web\"\n", "14:1: this key has no `name`: write name = "),
        ("key = \"sixteen-letters-1\"\n", "14:1: the key \"web\" has no `key`: write key = "),
        ("scopes = [\"feedback\"]\n", "14:1: the key \"web\" has no `scopes`: write scopes = "),
        ("name = \"m\"\n", "21:1: this model has no `name`: write name = "),
        ("base_url = \"http://h/v1\"\n", "21:1: the model \"m\" has no `base_url`: write base_url = "),
        (
            "price = [{ input = 1, output = 1 }, { from = 2026-12-01, input = 2, output = 2, long = { above = 3, input = 4, output = 5 } }]\n",
            "21:1: the model \"m\" has no `price`: write price = { input = 0.15, output = 0.6 }, in USD per million tokens",
        ),
        ("input = 1, ", "24:10: the `price` of the model \"m\" has no `input`: write input = "),
        (", output = 2", "24:37: the `price` of the model \"m\" has no `output`: write output = "),
        ("above = 3, ", "24:88: the `long` of the model \"m\" has no `above`: write above = "),
        ("input = 4, ", "24:88: the `long` of the model \"m\" has no `input`: write input = "),
        (", output = 5", "24:88: the `long` of the model \"m\" has no `output`: write output = "),
        ("path = \"/x\"", "25:16: the `health_check` of the model \"m\" has no `path`: write path = "),
        ("models = [\"m\"]\n", "26:1: the route \"chat\" has no `models`: write models = "),
        ("sla = { satisfaction = 0.9 }\n", "26:1: the route \"chat\" has no `sla`: write sla = "),
        ("url = \"http://h/x\"\n", "33:1: this alert has no `url`: write url = "),
        ("satisfaction = 0.9", "29:7: the `sla` of the route \"chat\" has no `satisfaction`: write satisfaction = "),
    ];
    for (key, expected) in cases {
        let found = told(&WHOLE.replacen(key, "", 1));
        assert!(found.starts_with(&format!("slarouter.toml:{expected}")), "{key}: {found}");
    }
    // A field that is neither optional nor has a default must be there; `sla` of a tenant and lists have one.
    let optional =
        |lines: &[&str], at: usize| lines[at].contains("Option<") || lines[at - 1].contains("serde(default)");
    let lines: Vec<&str> = RAW.lines().map(str::trim).collect();
    let required: Vec<&str> = (1..lines.len())
        .filter(|at| !optional(&lines, *at))
        .filter_map(|at| Some(lines[at].strip_prefix("pub(crate) ")?.split_once(": ")?.0))
        .collect();
    assert_eq!(required.len(), cases.len(), "each has its case: {required:?}");
}

#[test]
fn tenants_and_tables_with_headers_of_their_own_are_named() {
    let headed = WHOLE.replace("sla = { satisfaction = 0.9 }\n", "").replace("slarouter = { v = 1 }\n", "")
        + "[routes.chat.sla]\nassurance = 0.9\n[routes.chat.tenants.b]\nsla = { window = \"run\" }\n\
           [routes.new.sla]\nsatisfaction = 0.9\n";
    let found = told(&headed);
    for expected in [
        ": the `sla` of the route \"chat\" has no `satisfaction`: write ",
        ": the `sla` of the tenant \"b\" of the route \"chat\" has no `satisfaction`: write ",
        ": the route \"new\" has no `models`: write ",
    ] {
        assert!(found.contains(expected), "{expected} is not in {found}");
    }
}

#[test]
fn listeners_take_names() {
    let listen = |at: &str| {
        let text = WHOLE.replace("listen = \"127.0.0.1:1\"", &format!("listen = \"{at}\"\nadmin_listen = \"{at}1\""));
        let server = Config::parse_with(&text, &Hosts).map_err(|errors| errors.to_string())?.server;
        Ok::<_, String>((server.listen, server.admin_listen.unwrap()))
    };
    let at = |one: &str| one.parse::<SocketAddr>().unwrap();
    assert_eq!(listen("localhost:808"), Ok((at("127.0.0.1:808"), at("127.0.0.1:8081"))), "without asking anybody");
    assert_eq!(listen("LocalHost:808"), listen("localhost:808"));
    assert_eq!(listen("gateway.internal:808"), Ok((at("10.0.0.7:808"), at("10.0.0.7:8081"))), "IPv4 first");
    assert_eq!(listen("six:808"), Ok((at("[fd00::6]:808"), at("[fd00::6]:8081"))));
    assert_eq!(listen("[::1]:808"), Ok((at("[::1]:808"), at("[::1]:8081"))));
    for wrong in ["8080", ":8080", "localhost", "localhost:99999", "a b:80", "1.2.3:80", "http://h:80", "::1:x"] {
        let found = listen(wrong).unwrap_err();
        assert!(found.contains("2:10: not an address: write ip:port or name:port"), "{wrong}: {found}");
    }
    let found = listen("nowhere:80").unwrap_err();
    assert!(found.contains("2:10: this name cannot be resolved: no such host; write the IP address"), "{found}");
    let same = WHOLE.replace("listen = \"127.0.0.1:1\"", "listen = \"localhost:1\"\nadmin_listen = \"127.0.0.1:1\"");
    assert!(told(&same).contains("admin_listen is the address of listen"), "{}", told(&same));
}

#[test]
fn base_urls_that_go_too_far_are_cut_back() {
    let with = |url: &str| told(&WHOLE.replace("http://h/v1", url));
    for path in ["chat/completions", "completions", "responses", "messages", "messages/count_tokens", "embeddings"] {
        for end in ["", "/"] {
            let found = with(&format!("https://h:1/api/v1/{path}{end}"));
            let expected = format!(
                "slarouter.toml:23:12: base_url must end before /{path}, which is put behind it: write \"https://h:1/api/v1\""
            );
            assert_eq!(found, expected);
        }
    }
    let hidden = with("${URL}");
    assert!(hidden.ends_with("which is put behind it: leave /chat/completions out"), "{hidden}");
    for sound in ["https://h/v1/", "https://h/messages/v1", "https://h/my-messages"] {
        assert_eq!(with(sound), "", "{sound}");
    }
    let encoder = "encoder = \"remote\"\nbase_url = \"http://e/v1/embeddings\"\nmodel = \"e\"\ndim = 4";
    let found = told(&WHOLE.replace("encoder = \"hashed\"", encoder));
    assert!(found.contains("base_url must end before /embeddings") && found.contains("\"http://e/v1\""), "{found}");
}

#[test]
fn a_target_that_nobody_keeps_is_refused_with_what_to_write() {
    let with = |target: &str| told(&WHOLE.replace("satisfaction = 0.9", &format!("satisfaction = {target}")));
    for one in ["1", "1.0"] {
        let found = with(one);
        assert!(found.starts_with("slarouter.toml:29:24: satisfaction = 1 cannot be kept"), "{found}");
        assert!(found.contains("as in 0.95") && found.contains("fixed:<model>"), "{found}");
    }
    assert!(with("95").ends_with("must lie between 0 and 1, not 95: write 0.95 for 95 %"), "{}", with("95"));
    assert!(with("99.9").ends_with("not 99.9: write 0.999 for 99.9 %"), "{}", with("99.9"));
    assert!(with("1.5").ends_with("must lie between 0 and 1, not 1.5"), "{}", with("1.5"));
    assert_eq!((with("0.999"), with("0")), (String::new(), String::new()));
}
