//! Values on their way to the server, each with its type: so that a statement takes one trip and leaves nothing behind on the connection,
//! which a pooler may give to another client the next moment.

use std::borrow::Cow;

use slarouter_core::{DecisionId, Timestamp};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// What may be a parameter, alone and in an array.
pub(super) trait Element: ToSql + Sync {
    const TYPE: Type;
    const ARRAY: Type;
}

/// The type says what goes before it, `text` what stands in place of U+0000, and what before what would be taken for that.
const ESCAPE: char = '\u{e000}';

/// One value.
pub(super) fn one<T: Element>(value: &T) -> Param<'_> {
    (value, T::TYPE)
}

/// An array of values.
pub(super) fn many<T: Element>(values: &Vec<T>) -> Param<'_> {
    (values, T::ARRAY)
}

macro_rules! elements {
    ($($rust:ty => $one:ident, $many:ident;)*) => {
        $(impl Element for $rust {
            const TYPE: Type = Type::$one;
            const ARRAY: Type = Type::$many;
        })*
    };
}

elements! {
    bool => BOOL, BOOL_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    Uuid => UUID, UUID_ARRAY;
    Vec<u8> => BYTEA, BYTEA_ARRAY;
    &[u8] => BYTEA, BYTEA_ARRAY;
    String => TEXT, TEXT_ARRAY;
    &str => TEXT, TEXT_ARRAY;
    Cow<'_, str> => TEXT, TEXT_ARRAY;
}

impl<T: Element> Element for Option<T> {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

/// Text as PostgreSQL can keep it, which has no U+0000 in texts: that is written as U+E000 twice, and U+E000 itself as U+E000 and U+E001.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\0' => kept.extend([ESCAPE, ESCAPE]),
            ESCAPE => kept.extend([ESCAPE, '\u{e001}']),
            other => kept.push(other),
        }
    }
    Cow::Owned(kept)
}

/// The text that was given to [`text`].
pub(super) fn untext(kept: &str) -> Cow<'_, str> {
    if !kept.contains(ESCAPE) {
        return Cow::Borrowed(kept);
    }
    let mut given = String::with_capacity(kept.len());
    let mut letters = kept.chars();
    while let Some(letter) = letters.next() {
        if letter != ESCAPE {
            given.push(letter);
            continue;
        }
        match letters.next() {
            Some(ESCAPE) => given.push('\0'),
            Some('\u{e001}') => given.push(ESCAPE),
            // Nothing of ours: as it stands.
            other => given.extend([Some(ESCAPE), other].into_iter().flatten()),
        }
    }
    Cow::Owned(given)
}

pub(super) fn uuid(id: DecisionId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// As the column has it: what is beyond 2⁶³ comes back as it was.
pub(super) fn ms(time: Timestamp) -> i64 {
    time.0.cast_signed()
}

/// A bound of a range of times.
pub(super) fn bound(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back_and_have_no_zero(given in prop::collection::vec(prop_oneof![
            Just('\0'), Just('\u{e000}'), Just('\u{e001}'), any::<char>()
        ], 0..20)) {
            let given: String = given.into_iter().collect();
            let kept = text(&given);
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(untext(&kept).into_owned(), given);
        }

        #[test]
        fn no_text_is_a_panic(kept in ".*") {
            drop(untext(&kept));
        }
    }
}
