//! What a translation leaves out, and how the client is told.

use std::fmt;

/// Places that are told by name; of any more only the count is.
const MOST_PLACES: usize = 16;
/// Characters of a place that are told: names of members are the client's, and may have any length.
const MOST_CHARACTERS: usize = 48;

/// The places of a request that the model's protocol has no counterpart for and that do not change what the answer means: they
/// were left out, or put as near as that protocol can come. Printed it fits a header: visible ASCII, at most some 900 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    places: Vec<String>,
    /// How many more there are.
    more: usize,
}

// === impl Dropped ===

impl Dropped {
    /// Takes note of a place; once is enough.
    pub(crate) fn note(&mut self, place: &str) {
        let seen = |char: char| if char.is_ascii_graphic() && char != ',' { char } else { '?' };
        let mut told: String = place.chars().take(MOST_CHARACTERS).map(seen).collect();
        if place.chars().nth(MOST_CHARACTERS).is_some() {
            told.push_str("...");
        }
        if self.places.contains(&told) {
        } else if self.places.len() < MOST_PLACES {
            self.places.push(told);
        } else {
            self.more += 1;
        }
    }

    /// Whether everything was carried over.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.places.join(", "))?;
        if self.more > 0 {
            write!(f, ", and {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_once_and_as_a_header_can_hold_it() {
        let mut dropped = Dropped::default();
        assert!(dropped.is_empty());
        for place in ["seed", "messages[3].name", "seed", "a,b\r\nx-evil: \u{e9}"] {
            dropped.note(place);
        }
        assert_eq!(dropped.to_string(), "seed, messages[3].name, a?b??x-evil:??");
    }

    #[test]
    fn many_and_long_places_are_bounded() {
        let mut dropped = Dropped::default();
        for n in 0..100_000 {
            dropped.note(&format!("{n}{}", "x".repeat(1_000)));
        }
        let told = dropped.to_string();
        assert!(told.len() < 900, "{}", told.len());
        assert!(told.starts_with("0xxx") && told.ends_with("..., and 99984 more"), "{told}");
    }
}
