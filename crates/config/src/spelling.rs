//! What somebody meant who wrote a word that is none.

/// The candidate that `word` most likely is a slip of; `None` if none is near.
///
/// Near means one slip (a letter left out, put in, exchanged or swapped with the next) for each three letters of the longer word, or
/// the only candidate that goes on after `word`, as `timeout_s` does after `timeout`.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let slips = candidates.iter().map(|candidate| (strsim::osa_distance(word, candidate), *candidate));
    let near = |(slips, candidate): &(usize, &str)| 3 * slips <= word.chars().count().max(candidate.chars().count());
    let nearest = slips.filter(near).min_by_key(|(slips, _)| *slips).map(|(_, candidate)| candidate);
    nearest.or_else(|| {
        let goes_on = |candidate: &&str| candidate.strip_prefix(word).is_some_and(|rest| rest.starts_with('_'));
        let mut longer = candidates.iter().copied().filter(goes_on);
        longer.next().filter(|_| longer.next().is_none())
    })
}

/// The end of a message that refuses `word`: what was meant, or else what there is. `candidates` in the order to be listed.
#[must_use]
pub fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let known: Vec<_> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
            format!("there are {}", known.join(", "))
        }
    }
}

/// The name that serde refuses by this message, and the names that it knows; `None` if it says another thing.
#[must_use]
pub fn refused_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let (name, expected) = message.strip_prefix("unknown field `")?.rsplit_once("`, expected ")?;
    // The names stand between backticks, of which none has one itself.
    Some((name, expected.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::{nearest, suggestion};

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let keys =
            ["listen", "admin_listen", "api_keys", "admin_keys", "request_timeout_s", "max_a", "max_b", "seed", "tls"];
        for (word, meant) in [
            ("listn", Some("listen")),
            ("lsiten", Some("listen")),
            ("api_key", Some("api_keys")),
            ("apikeys", Some("api_keys")),
            ("request_timeout", Some("request_timeout_s")),
            ("adminlisten", Some("admin_listen")),
            ("tsl", Some("tls")),
            ("request", Some("request_timeout_s")),
            ("port", None),
            ("max", None),
            ("", None),
            ("password", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
        assert_eq!(suggestion("raterr", &["rating", "rater"]), "did you mean `rater`?", "the nearer of two");
        assert_eq!(suggestion("port", &["listen", "tls"]), "there are `listen`, `tls`");
    }
}
