//! The mark on reasoning that a client of another protocol gets: it stands where that protocol has the seal of its own provider.

/// What the mark begins with. Reasoning with it is taken out again before a provider sees it that seals its own.
pub(crate) const MARK: &str = "slarouter-reasoning-of-another-model";

/// The seal on reasoning of the model that its provider calls so.
pub(crate) fn seal(model: &str) -> String {
    format!("{MARK}/{model}")
}

/// Whether it is a seal of ours.
pub(crate) fn is_ours(seal: &str) -> bool {
    seal.starts_with(MARK)
}

/// The model that wrote what is sealed so, by its provider's name; `None` if it is no seal of ours.
pub(crate) fn written_by(seal: &str) -> Option<&str> {
    seal.strip_prefix(MARK)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_says_who_wrote_it() {
        assert_eq!(written_by(&seal("org/model-1")), Some("org/model-1"));
        assert!(is_ours(&seal("m")) && is_ours(MARK) && !is_ours("EqQB"));
        assert_eq!((written_by(MARK), written_by("EqQB")), (None, None));
    }
}
