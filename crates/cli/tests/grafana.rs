//! The dashboard for Grafana by the rules of Grafana's own dashboard-linter, which is not in Debian.
#![expect(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]

use serde_json::Value;

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../../deploy/grafana/slarouter.json")).unwrap()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

fn variable(dashboard: &Value, name: &str) -> Value {
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    variables.iter().find(|variable| text(variable, "name") == name).cloned().unwrap_or_default()
}

/// template-datasource, template-job, template-instance, template-label-promql, template-on-time-change-reload,
/// uneditable-dashboard; and the uid, which links rely on.
#[test]
fn its_variables_are_those_that_every_installation_has() {
    let dashboard = dashboard();
    assert_eq!((text(&dashboard, "uid"), &dashboard["editable"]), ("slarouter-sla", &Value::Bool(false)));
    let source = variable(&dashboard, "datasource");
    assert_eq!((text(&source, "type"), text(&source, "query")), ("datasource", "prometheus"));
    for name in ["job", "instance", "route"] {
        let variable = variable(&dashboard, name);
        assert_eq!(text(&variable["datasource"], "uid"), "${datasource}", "{name}");
        assert!(variable["multi"] == true && text(&variable, "allValue") == ".+", "{name}");
        assert_eq!(variable["refresh"], 2, "{name} is read again when the time changes");
        let query = text(&variable, "query");
        assert!(query.starts_with("label_values(slarouter_") && query.ends_with(&format!(", {name})")), "{query}");
    }
}

/// panel-datasource, panel-title-description, panel-units, panel-no-targets, target-rate-interval, target-job, target-instance.
#[test]
fn its_panels_say_what_they_show_and_select_by_the_variables() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        let title = text(panel, "title");
        assert!(!title.is_empty() && !text(panel, "description").is_empty(), "{panel}");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for expression in targets.iter().map(|target| text(target, "expr")) {
            let selectors = expression.matches("slarouter_").count();
            for variable in [r#"job=~"$job""#, r#"instance=~"$instance""#] {
                assert_eq!(expression.matches(variable).count(), selectors, "{title}: {expression} without {variable}");
            }
            let rates = expression.matches("rate(slarouter_").count();
            assert_eq!(expression.matches("[$__rate_interval]").count(), rates, "{title}: {expression}");
        }
    }
    let ids: std::collections::BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}
