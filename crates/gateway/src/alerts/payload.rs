//! What a webhook gets, in each shape.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slarouter_config::{WebhookShape, utc};
use slarouter_core::Timestamp;

use super::rules::Condition;

/// Where each alert has a heading of its name.
const RUNBOOK: &str = "docs/alerts.md";
/// The time that Alertmanager writes for an alert that has not ended.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Slack takes 50 blocks.
const MOST_BLOCKS: usize = 50;

/// An alert that fires, or is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Notice {
    /// The same for as long as it is the same alert.
    pub(super) fingerprint: String,
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) summary: String,
    pub(super) runbook: String,
    #[serde(rename = "starts_at", serialize_with = "moment")]
    pub(super) starts: Timestamp,
    #[serde(rename = "ends_at", serialize_with = "moment_or_none")]
    pub(super) ends: Option<Timestamp>,
    /// When it was put out to be told.
    #[serde(skip)]
    pub(super) told: Timestamp,
}

/// What tells an alert from all others: its name and its labels.
pub(super) fn fingerprint(name: &str, labels: &BTreeMap<&'static str, String>) -> String {
    let mut hash = Sha256::new();
    for part in [name].into_iter().chain(labels.iter().flat_map(|(label, value)| [*label, value.as_str()])) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize()[..8])
}

impl Notice {
    pub(super) fn of(fingerprint: String, condition: &Condition, starts: Timestamp) -> Self {
        let Condition { rule, labels, summary } = condition;
        Self {
            fingerprint,
            name: rule.name,
            severity: rule.severity,
            labels: labels.clone(),
            summary: summary.clone(),
            runbook: format!("{RUNBOOK}#{}", rule.name.to_lowercase()),
            starts,
            ends: None,
            told: starts,
        }
    }

    /// One that says nothing but that it has come.
    pub(super) fn test(now: Timestamp) -> Self {
        let (name, labels) = ("AlertTest", BTreeMap::new());
        Self {
            fingerprint: fingerprint(name, &labels),
            name,
            severity: "info",
            labels,
            summary: "SLARouter can tell you of alerts. This one is a test.".to_owned(),
            runbook: format!("{RUNBOOK}#from-the-gateway-itself"),
            starts: now,
            ends: None,
            told: now,
        }
    }

    fn status(&self) -> &'static str {
        if self.ends.is_some() { "resolved" } else { "firing" }
    }

    fn alertmanager(&self) -> Value {
        let mut labels = json!(self.labels);
        labels["alertname"] = self.name.into();
        labels["severity"] = self.severity.into();
        json!({
            "status": self.status(),
            "labels": labels,
            "annotations": { "summary": self.summary, "runbook_url": self.runbook },
            "startsAt": utc(self.starts),
            "endsAt": self.ends.map_or_else(|| NEVER.to_owned(), utc),
            "generatorURL": "",
            "fingerprint": self.fingerprint,
        })
    }

    /// In Slack's markup, in which three characters mean something.
    fn slack(&self) -> String {
        let escaped = self.summary.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let state = if self.ends.is_some() { "resolved" } else { self.severity };
        format!("*[{state}] {}* {escaped} ({})", self.name, self.runbook)
    }
}

/// The body for these alerts, of which there is at least one.
pub(super) fn body(shape: WebhookShape, notices: &[Notice]) -> Value {
    match shape {
        WebhookShape::Json => {
            let alert = |notice: &Notice| {
                let mut alert = json!(notice);
                alert["status"] = notice.status().into();
                alert
            };
            json!({ "alerts": notices.iter().map(alert).collect::<Vec<_>>() })
        }
        WebhookShape::Slack => {
            let lines: Vec<_> = notices.iter().map(Notice::slack).collect();
            let block = |line: &String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": line } });
            let blocks: Vec<_> = lines.iter().take(MOST_BLOCKS).map(block).collect();
            json!({ "text": lines.join("\n"), "blocks": blocks })
        }
        WebhookShape::Alertmanager => {
            let firing = notices.iter().any(|notice| notice.ends.is_none());
            json!({
                "version": "4",
                "receiver": "slarouter",
                "status": if firing { "firing" } else { "resolved" },
                "groupKey": "{}:{}",
                "truncatedAlerts": 0,
                "groupLabels": {},
                "commonLabels": {},
                "commonAnnotations": {},
                "externalURL": "",
                "alerts": notices.iter().map(Notice::alertmanager).collect::<Vec<_>>(),
            })
        }
    }
}

fn moment<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc(*at))
}

fn moment_or_none<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(utc).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices() -> [Notice; 2] {
        let firing = Notice {
            labels: [("route", "a&b".to_owned())].into(),
            summary: "below <0.9> & so on".to_owned(),
            ..Notice::test(Timestamp(1_000))
        };
        let over = Notice { ends: Some(Timestamp(61_000)), ..firing.clone() };
        [firing, over]
    }

    #[test]
    fn alertmanager_gets_its_version_4() {
        let body = body(WebhookShape::Alertmanager, &notices());
        assert_eq!((&body["version"], &body["status"]), (&json!("4"), &json!("firing")));
        let keys = "version receiver status groupKey truncatedAlerts groupLabels commonLabels commonAnnotations externalURL alerts";
        assert!(keys.split(' ').all(|key| body.get(key).is_some()));
        let labels = json!({ "alertname": "AlertTest", "severity": "info", "route": "a&b" });
        assert_eq!((&body["alerts"][0]["labels"], &body["alerts"][0]["endsAt"]), (&labels, &json!(NEVER)));
        assert_eq!(body["alerts"][0]["startsAt"], "1970-01-01T00:00:01Z");
        assert_eq!(
            (&body["alerts"][1]["status"], &body["alerts"][1]["endsAt"]),
            (&json!("resolved"), &json!("1970-01-01T00:01:01Z"))
        );
        let [_, over] = notices();
        assert_eq!(super::body(WebhookShape::Alertmanager, &[over])["status"], "resolved");
    }

    #[test]
    fn slack_gets_text_that_cannot_be_markup_and_no_more_blocks_than_it_takes() {
        let told = body(WebhookShape::Slack, &notices());
        let line = "*[info] AlertTest* below &lt;0.9&gt; &amp; so on (docs/alerts.md#from-the-gateway-itself)";
        assert_eq!(told["text"].as_str().unwrap().lines().next(), Some(line));
        assert_eq!(told["blocks"][0]["text"]["text"], line);
        let many = vec![notices()[0].clone(); 60];
        assert_eq!(body(WebhookShape::Slack, &many)["blocks"].as_array().unwrap().len(), MOST_BLOCKS);
    }

    #[test]
    fn json_has_all_there_is() {
        let [firing, over] = notices();
        let told = body(WebhookShape::Json, &[firing.clone(), over]);
        let expected = json!({
            "fingerprint": firing.fingerprint, "name": "AlertTest", "severity": "info", "labels": { "route": "a&b" },
            "summary": "below <0.9> & so on", "runbook": "docs/alerts.md#from-the-gateway-itself", "status": "firing",
            "starts_at": "1970-01-01T00:00:01Z", "ends_at": null,
        });
        assert_eq!(told["alerts"][0], expected);
        assert_eq!(told["alerts"][1]["status"], "resolved");
    }

    #[test]
    fn names_and_labels_tell_alerts_apart() {
        let of = |name, route: &str| fingerprint(name, &[("route", route.to_owned())].into());
        assert_eq!(of("SLABroken", "a"), of("SLABroken", "a"));
        assert_ne!(of("SLABroken", "a"), of("SLABroken", "b"));
        assert_ne!(of("SLABroken", "a"), of("SLABrokenroute", "a"));
    }
}
