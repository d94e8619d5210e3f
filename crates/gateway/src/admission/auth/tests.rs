use super::*;

const MODELS: &str = "[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\nprice = { input = 1, output = 1 }\n\
    [routes.default]\nmodels = [\"m\"]\nsla = { satisfaction = 0.9 }\n\
    [routes.default.tenants.acme]\n[routes.default.tenants.other]\n\
    [routes.chat]\nmodels = [\"m\"]\nsla = { satisfaction = 0.9 }\n";

fn config(text: &str) -> Config {
    Config::parse(&format!("{text}\n{MODELS}"), &|_| None).unwrap()
}

fn auth(text: &str) -> Auth {
    Auth::new(&config(text), &[], Timestamp(0))
}

fn with(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
}

fn stored(key: &str, revoked: bool, expires: Option<u64>) -> KeyRecord {
    KeyRecord {
        id: key.to_owned(),
        name: "stored".to_owned(),
        digest: digest(key.as_bytes()),
        hint: String::new(),
        grants: r#"{"scopes":["inference"]}"#.to_owned(),
        created: Timestamp(0),
        expires: expires.map(Timestamp),
        revoked: revoked.then_some(Timestamp(0)),
    }
}

#[test]
fn only_known_keys_pass_and_only_for_what_they_are() {
    let auth = auth("[server]\napi_keys = [\"sixteen-letters-1\"]\nadmin_keys = [\"sixteen-letters-2\"]");
    let status = |headers: &HeaderMap, scope| {
        auth.check(headers, &[scope], Timestamp(0)).map(|_| 200).unwrap_or_else(|e| e.status.as_u16())
    };
    assert_eq!(status(&with("Bearer sixteen-letters-1"), Scope::Inference), 200);
    for right in ["bearer sixteen-letters-1", "BEARER   sixteen-letters-1 "] {
        assert_eq!(status(&with(right), Scope::Inference), 200, "{right}");
    }
    for wrong in ["Bearer three", "Bearer ", "sixteen-letters-1", "Basic sixteen-letters-1", "Bearersixteen-letters-1"]
    {
        assert_eq!(status(&with(wrong), Scope::Inference), 401, "{wrong}");
    }
    let header = HeaderMap::from_iter([("x-api-key".parse().unwrap(), "sixteen-letters-1".parse().unwrap())]);
    assert_eq!(status(&header, Scope::Feedback), 200);
    assert_eq!(status(&HeaderMap::new(), Scope::Inference), 401);
    for (key, scope, expected) in [
        ("1", Scope::Feedback, 200),
        ("1", Scope::Audit, 403),
        ("1", Scope::Admin, 403),
        ("2", Scope::Admin, 200),
        ("2", Scope::Inference, 403),
    ] {
        assert_eq!(status(&with(&format!("Bearer sixteen-letters-{key}")), scope), expected, "{key} {scope}");
    }
}

#[test]
fn a_gateway_is_open_only_while_there_never_was_a_key() {
    let none = config("");
    assert!(Auth::new(&none, &[], Timestamp(0)).is_open());
    for (revoked, expires) in [(true, None), (false, Some(1)), (false, None)] {
        let auth = Auth::new(&none, &[stored("k", revoked, expires)], Timestamp(5));
        assert!(!auth.is_open(), "{revoked} {expires:?}");
        let works = auth.check(&with("Bearer k"), &[], Timestamp(5)).is_ok();
        assert_eq!(works, !revoked && expires.is_none());
    }
    let admin = "[server]\nadmin_keys = [\"sixteen-letters-2\"]\n";
    assert!(!auth(admin).is_open(), "who has an administrator has thought of keys");
    assert!(auth(&format!("{admin}allow_unauthenticated = true")).is_open());
    assert!(auth(admin).ring.load().anybody.is_none() && !auth(admin).is_fresh());
}

#[test]
fn a_tenant_has_its_own_routes_and_nobody_elses() {
    let text = "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\"]\ntenant = \"acme\"\nmodels = [\"auto\"]";
    let config = config(text);
    let auth = Auth::new(&config, &[], Timestamp(0));
    let caller = auth.check(&with("Bearer sixteen-letters-a"), &[], Timestamp(0)).unwrap();
    let route = |route: &str| caller.route(&config, route).map(|name| name.to_string());
    assert_eq!(route("default").as_deref(), Some("default/acme"));
    assert_eq!(route("default/acme").as_deref(), Some("default/acme"));
    assert_eq!(route("default/other"), None);
    assert_eq!(route("chat").as_deref(), Some("chat"), "a route that has no such tenant serves as it is");
    for (name, may) in
        [("auto", true), ("auto:default", true), ("auto:default/acme", true), ("auto:chat", false), ("m", false)]
    {
        assert_eq!(caller.may_ask(name, "default"), may, "{name}");
    }
}
