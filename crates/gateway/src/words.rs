//! What others say in their errors, as far as it may be kept.

use slarouter_protocol::relay::REPORTED;

/// Bytes of an error's text that the database keeps: providers quote prompts, of whatever length.
pub(crate) const KEPT: usize = 2_048;
/// Bytes of it in a line of the log.
const SHOWN: usize = 256;

/// The first `most` bytes, or a few less.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// What a line of the log may have of an error: nothing that an upstream has chosen the words of, or that is quoted from its answer,
/// as these may be a prompt's.
pub(crate) fn shown(error: &str) -> &str {
    let end = error.find(REPORTED).map(|at| at + REPORTED.len()).or_else(|| error.find('"')).unwrap_or(error.len());
    cut(error[..end].trim_end(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_our_own_words_alone() {
        let reported = format!("{REPORTED}: the prompt \"secret\" is too long");
        assert_eq!(shown(&reported), REPORTED);
        assert_eq!(shown("invalid type: string \"secret\", expected u64"), "invalid type: string");
        assert_eq!(shown("nothing came for 60 s"), "nothing came for 60 s");
        assert_eq!((cut("äöü", 3), cut("äöü", 9)), ("ä", "äöü"));
        assert_eq!(shown(&"x".repeat(10_000)).len(), SHOWN);
    }
}
