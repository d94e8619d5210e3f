//! What the usual products call a thumb.

use serde_json::Value;
use slarouter_core::Rating;

/// All that is understood.
pub(super) const TAKEN: &str = "\"up\", \"down\" (or thumbs_up, thumbsUp, thumbs_down, thumbsDown), true, false, a number from 0 to 1, \
                                or -1 for down";

/// The rating that a value is; `None` if it is none.
pub(super) fn rating(value: &Value) -> Option<Rating> {
    let share = match value {
        Value::Bool(up) => f64::from(u8::from(*up)),
        Value::String(word) => match word.as_str() {
            "up" | "thumbs_up" | "thumbsUp" => 1.0,
            "down" | "thumbs_down" | "thumbsDown" => 0.0,
            _ => return None,
        },
        Value::Number(number) => match number.as_f64()? {
            // Open WebUI's, and that of whoever counts thumbs.
            -1.0 => 0.0,
            share => share,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Rating::new(share).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_rating() {
        for (value, expected) in [
            (json!("up"), 1.0),
            (json!("thumbs_up"), 1.0),
            (json!("thumbsUp"), 1.0),
            (json!(true), 1.0),
            (json!(1), 1.0),
            (json!(0.25), 0.25),
            (json!(0), 0.0),
            (json!(-1), 0.0),
            (json!(-1.0), 0.0),
            (json!(false), 0.0),
            (json!("down"), 0.0),
            (json!("thumbs_down"), 0.0),
            (json!("thumbsDown"), 0.0),
        ] {
            assert_eq!(rating(&value).map(Rating::get), Some(expected), "{value}");
        }
        // A scale of five stars is none from 0 to 1, and a word for up may be one for down in another case.
        for value in
            [json!("good"), json!("UP"), json!("1"), json!(2), json!(-0.5), json!(1.01), json!([]), json!(null)]
        {
            assert_eq!(rating(&value), None, "{value}");
        }
    }
}
