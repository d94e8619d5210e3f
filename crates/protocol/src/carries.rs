//! What a protocol cannot carry of a request in the common form.
//!
//! It is found without writing the request, which takes long for a long one, so that models can be left out before one is chosen. The
//! writers rely on it.

use crate::endpoint::Protocol;
use crate::fields::Refusal;
use crate::form::{CommonRequest, Field, Part, Role, Source, Turn};
use crate::print::texts;

/// Refuses what stands at a place where this protocol has nothing like it. Takes time in proportion to the parts of the request, not to its
/// bytes.
///
/// # Errors
/// The first such place.
pub(crate) fn check(request: &CommonRequest, protocol: Protocol) -> Result<(), Refusal> {
    if let Some(turn) = request.turns.last().filter(|turn| turn.role == Role::Assistant) {
        // Only Anthropic's models go on from there.
        let what = "is the assistant's, and the model's protocol has no way to go on from there: end with a message of the user";
        return Err(Refusal::new(turn.place.clone(), what));
    }
    if protocol == Protocol::Responses && !request.stop.is_empty() {
        return Err(Refusal::not_carried(request.name(Field::Stop), &texts(&request.stop)));
    }
    request.turns.iter().try_for_each(|turn| self::turn(turn, protocol))
}

fn turn(turn: &Turn, protocol: Protocol) -> Result<(), Refusal> {
    let mut said = false;
    for part in &turn.parts {
        if !belongs(part, turn.role, protocol) {
            return Err(part.refuse(&turn.place));
        }
        let Part::Result { parts, .. } = part else {
            said = true;
            source(part, &turn.place, protocol)?;
            continue;
        };
        // There it is a message of its own, which has to stand next to its call.
        if said && protocol == Protocol::Chat {
            return Err(Refusal::new(turn.place.clone(), "has a tool's result after other content"));
        }
        for part in parts {
            if !matches!(part, Part::Text(_) | Part::Image(_) | Part::File { .. }) {
                return Err(part.refuse(&turn.place));
            }
            source(part, &turn.place, protocol)?;
        }
    }
    Ok(())
}

/// Whether this side of the conversation can say such a thing.
fn belongs(part: &Part, role: Role, protocol: Protocol) -> bool {
    match part {
        Part::Text(_) => true,
        Part::Call { .. } | Part::Reasoning { .. } | Part::Refusal(_) => role == Role::Assistant,
        Part::Result { .. } => role == Role::User,
        Part::Image(_) | Part::File { .. } if protocol == Protocol::Messages => role == Role::User,
        Part::Image(_) | Part::File { .. } => role != Role::Assistant,
    }
}

fn source(part: &Part, place: &str, protocol: Protocol) -> Result<(), Refusal> {
    match part {
        Part::File { source: Source::Url(_), .. } if protocol == Protocol::Chat => {
            Err(Refusal::new(place, "has a file by its URL, which the model's protocol cannot carry: send its data"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::endpoint::{ModelProtocol, Protocol};
    use crate::testing::translate;

    #[test]
    fn a_forced_tool_has_to_be_one_that_is_offered() {
        let body = |tools: Value| {
            let named = json!({ "type": "function", "function": { "name": "f" } });
            json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }], "tools": tools, "tool_choice": named })
        };
        let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
        let own = json!({ "type": "custom", "custom": { "name": "f" } });
        assert!(translate(Protocol::Chat, ModelProtocol::Anthropic, &body(json!([tool("g"), tool("f")]))).is_ok());
        for tools in [json!([tool("g")]), json!([]), json!([tool("g"), own])] {
            let refusal = translate(Protocol::Chat, ModelProtocol::Anthropic, &body(tools)).unwrap_err();
            assert_eq!(refusal.param, "tool_choice");
            assert!(refusal.message.starts_with("`tool_choice` = \"f\" wants a tool called"), "{refusal}");
        }
    }
}
