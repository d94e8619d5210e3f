//! Origins of web pages.

use http::HeaderValue;

use crate::problems::Problems;
use crate::raw::Text;
use crate::values::{Env, text};

/// The origins as browsers write them.
pub(super) fn origins(written: &[Text], env: Env<'_>, problems: &mut Problems<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for place in written {
        let Some(origin) = text(place, env, problems) else { continue };
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let sound = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' ']));
        if !sound || HeaderValue::from_str(&origin).is_err() {
            problems.add(
                Some(place.span()),
                "an origin is https://host or https://host:port, without a path; there is no *",
            );
        }
        origins.push(origin);
    }
    origins
}
