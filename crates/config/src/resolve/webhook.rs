//! `[[alerts]]`.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::values::{Env, number, text};
use crate::webhook::{Webhook, WebhookShape};

const HOUR: f64 = 3_600.0;
/// Alertmanager's own.
const REPEAT_HOURS: f64 = 4.0;
/// What stands before a secret of Standard Webhooks.
const SECRET: &str = "whsec_";

pub(super) fn webhooks(raw: Vec<raw::Webhook>, env: Env<'_>, problems: &mut Problems<'_>) -> Vec<Webhook> {
    raw.into_iter().filter_map(|raw| webhook(raw, env, problems)).collect()
}

fn webhook(raw: raw::Webhook, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Webhook> {
    let hours = |hours: f64| (1.0 / 60.0..=8_760.0).contains(&hours);
    let repeat = number(raw.repeat_hours, REPEAT_HOURS, hours, "from a minute to a year of hours", problems);
    let shape = raw.shape.as_ref().and_then(|written| shape(written, env, problems)).unwrap_or(WebhookShape::Json);
    let secret = raw.secret.as_ref().and_then(|written| secret(written, env, problems));
    let url = url(&raw.url, env, problems)?;
    Some(Webhook { url, shape, secret, repeat: Duration::from_secs_f64(repeat * HOUR) })
}

fn shape(written: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<WebhookShape> {
    let word = text(written, env, problems)?;
    let found = WebhookShape::ALL.into_iter().find(|shape| shape.as_str() == word);
    if found.is_none() {
        problems.add(Some(written.span()), "shape must be \"alertmanager\", \"slack\" or \"json\"");
    }
    found
}

/// 24 to 64 bytes in base64.
fn secret(written: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let given = text(written, env, problems)?;
    let code = given.strip_prefix(SECRET).unwrap_or_default();
    let digits = code.trim_end_matches('=');
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !digits.bytes().all(digit)
        || !(32..=88).contains(&code.len())
        || code.len() % 4 != 0
        || code.len() - digits.len() > 2
    {
        let what =
            "secret must be whsec_ and 24 to 64 bytes in base64, as `echo whsec_$(openssl rand -base64 32)` makes one";
        problems.add(Some(written.span()), what);
    }
    Some(given.into())
}

fn url(written: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let given = text(written, env, problems)?;
    let sound = Url::parse(&given).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !sound {
        problems.add(Some(written.span()), "url must be http(s)://host[:port][/path] of what takes alerts by POST");
    }
    Some(given.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use crate::settings::Config;
    use crate::webhook::{Webhook, WebhookShape};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn parse(keys: &str) -> Result<Vec<Webhook>, String> {
        let text = format!(
            "[[alerts]]\n{keys}\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\nprice = {{ input = 1, output = 1 }}\n\
             [routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        Config::parse(&text, &|_| None).map(|config| config.alerts).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_webhook_has_defaults_and_keeps_its_secrets() {
        let [plain] = parse("url = \"https://chat.example/hook/sesame\"").unwrap().try_into().unwrap();
        assert_eq!((plain.shape, plain.repeat), (WebhookShape::Json, Duration::from_secs(14_400)));
        assert_eq!((&*plain.host(), plain.secret.is_none()), ("chat.example", true));
        assert!(!format!("{plain:?}").contains("sesame"));
        let [told] =
            parse(&format!("url = \"http://h\"\nshape = \"slack\"\nsecret = \"{SECRET}\"\nrepeat_hours = 0.5"))
                .unwrap()
                .try_into()
                .unwrap();
        assert_eq!((told.shape, told.repeat), (WebhookShape::Slack, Duration::from_secs(1_800)));
        assert_eq!(told.secret.as_ref().unwrap().expose_secret(), SECRET);
        assert!(told.is(&told.clone()) && !told.is(&plain));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (keys, expected) in [
            ("url = \"chat.example\"", ":2:7: url must be http(s)"),
            ("url = \"http://h\"\nshape = \"teams\"", ":3:9: shape must be "),
            ("url = \"http://h\"\nsecret = \"sesame\"", ":3:10: secret must be whsec_"),
            ("url = \"http://h\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La====\"", ":3:10: secret must be whsec_"),
            ("url = \"http://h\"\nrepeat_hours = 0", ":3:16: must be from a minute"),
        ] {
            let found = parse(keys).unwrap_err();
            assert!(found.contains(expected) && !found.contains("sesame"), "{keys}: {found}");
        }
    }
}
