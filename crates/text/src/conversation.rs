//! The text of an OpenAI chat request.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::tokens::estimate_tokens;

/// Tokens that a chat format adds per message (role and separators).
const MESSAGE_TOKENS: u32 = 4;
/// Tokens charged for an image, whose size is not looked at: OpenAI's figure for one high-detail tile and the base.
const IMAGE_TOKENS: u32 = 255;
/// Characters of the last user message that features see from its start and from its end.
const HEAD: usize = 6_000;
const TAIL: usize = 2_000;
/// Characters that features see of system prompts and names of tools together.
const CONTEXT: usize = 1_000;

/// What features and token estimates are made from.
///
/// Features see the last user message, in full up to 8,000 characters (beyond that its first 6,000 and last 2,000), the first
/// 1,000 characters of the system prompt and the names of the tools, and of the rest only counts and lengths; the token
/// estimate is made from everything while it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The last user message, cut in the middle if it is very long.
    pub(crate) prompt: String,
    /// Bytes of the last user message before cutting.
    pub(crate) prompt_bytes: usize,
    /// System and developer messages and the names of the tools, cut at their end.
    pub(crate) context: String,
    /// Messages in all.
    pub(crate) turns: u32,
    /// Bytes of all messages but the last user message.
    pub(crate) other_bytes: usize,
    pub(crate) has_system: bool,
    pub(crate) has_tools: bool,
    pub(crate) images: u32,
    tokens: u32,
}

/// Why a conversation cannot be read. The client is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not an array.
    #[error("messages must be an array of message objects: {0}")]
    Messages(serde_json::Error),
    /// One message is wrong.
    #[error("messages[{index}] is no message object: {error}")]
    Message {
        /// Its place, from 0.
        index: usize,
        /// What the parser says.
        error: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

// By hand: derived, it would read all of a content into a tree first, and copy each text, of which one may have megabytes.
impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Content<'de>, E> {
                Ok(Content::Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Content<'de>, E> {
                Ok(Content::Text(text.to_owned().into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut listed: A) -> Result<Content<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = listed.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

impl Conversation {
    /// Reads the `messages` array of a chat request, as JSON text, and its `tools`, if any. Linear in their length.
    ///
    /// Of a part, its `text` or `refusal` is used, whatever its type; images are counted; audio, files and unknown fields are
    /// passed over.
    ///
    /// # Errors
    /// [`TextError`] if `messages` is not an array of objects with string, null or array content.
    pub fn from_messages(messages: &str, tools: Option<&str>) -> Result<Self, TextError> {
        let messages: Vec<&RawValue> = serde_json::from_str(messages).map_err(TextError::Messages)?;
        let mut conversation = Self { turns: messages.len() as u32, ..Self::default() };
        let mut last_user = Cow::Borrowed("");
        let mut other_bytes = 0;
        for (index, raw) in messages.iter().enumerate() {
            let message: Message<'_> =
                serde_json::from_str(raw.get()).map_err(|error| TextError::Message { index, error })?;
            let text = conversation.text_of(message.content.unwrap_or(Content::Parts(Vec::new())));
            let calls = message.tool_calls.map_or("", RawValue::get);
            conversation.add_tokens(MESSAGE_TOKENS + estimate_tokens(&text));
            conversation.add_tokens(estimate_tokens(calls));
            let role = message.role.as_deref().unwrap_or_default();
            if role == "system" || role == "developer" {
                conversation.has_system = true;
                conversation.add_context(&text);
            }
            other_bytes += text.len() + calls.len();
            if role == "user" {
                last_user = text;
            }
        }
        if let Some(tools) = tools.filter(|tools| !matches!(*tools, "null" | "[]")) {
            conversation.has_tools = true;
            conversation.add_tokens(estimate_tokens(tools));
            // What cannot be read is the provider's to refuse; the features do without.
            for tool in serde_json::from_str::<Vec<Tool<'_>>>(tools).unwrap_or_default() {
                if let Some(name) = tool.name.or(tool.function.and_then(|function| function.name)) {
                    conversation.add_context(&name);
                }
            }
        }
        conversation.prompt_bytes = last_user.len();
        conversation.other_bytes = other_bytes - last_user.len();
        conversation.prompt = shorten(&last_user);
        Ok(conversation)
    }

    /// A conversation of one user message.
    #[must_use]
    pub fn from_prompt(prompt: &str) -> Self {
        Self {
            prompt_bytes: prompt.len(),
            turns: 1,
            tokens: MESSAGE_TOKENS + estimate_tokens(prompt),
            prompt: shorten(prompt),
            ..Self::default()
        }
    }

    /// The last user message, its middle cut out if it is longer than 8,000 characters.
    #[must_use]
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// System prompt and names of tools, cut at 1,000 characters; empty if there are none.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Estimated input tokens of the whole request.
    #[must_use]
    pub fn input_tokens(&self) -> u32 {
        self.tokens
    }

    fn add_tokens(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn add_context(&mut self, text: &str) {
        let room = CONTEXT.saturating_sub(self.context.chars().count());
        if room > 0 && !text.is_empty() {
            if !self.context.is_empty() {
                self.context.push('\n');
            }
            self.context.extend(text.chars().take(room));
        }
    }

    fn text_of<'a>(&mut self, content: Content<'a>) -> Cow<'a, str> {
        let parts = match content {
            Content::Text(text) => return text,
            Content::Parts(parts) => parts,
        };
        let mut joined = String::new();
        for part in parts {
            if part.kind.as_deref() == Some("image_url") {
                self.images += 1;
                self.add_tokens(IMAGE_TOKENS);
            }
            if let Some(text) = part.text.or(part.refusal) {
                if !joined.is_empty() {
                    joined.push('\n');
                }
                joined.push_str(&text);
            }
        }
        Cow::Owned(joined)
    }
}

/// The text, without its middle if it is very long; cut at character boundaries.
fn shorten(text: &str) -> String {
    let ends = || {
        let mut characters = text.char_indices();
        let (head, _) = characters.nth(HEAD)?;
        let (tail, _) = characters.rev().nth(TAIL - 1)?;
        Some((head, tail))
    };
    match if text.len() > HEAD + TAIL { ends() } else { None } {
        Some((head, tail)) => format!("{}\n{}", &text[..head], &text[tail..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_message_is_the_prompt() {
        let messages = r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"One"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"x"}]},{"role":"tool","content":"42"},
            {"role":"user","content":[{"type":"text","text":"Two"},{"type":"image_url","image_url":{"url":"data:"}},
            {"type":"text","text":"Three"},{"type":"new_thing","x":1}],"name":"n"}]"#;
        let read = Conversation::from_messages(messages, Some("[{}]")).unwrap();
        assert_eq!(read.prompt, "Two\nThree");
        assert_eq!((read.turns, read.images, read.has_system, read.has_tools), (5, 1, true, true));
        assert!(read.input_tokens() > IMAGE_TOKENS + 5 * MESSAGE_TOKENS);
        let escaped = Conversation::from_messages(r#"[{"role":"user","content":"a\nb é"}]"#, None).unwrap();
        assert_eq!(escaped.prompt, "a\nb é");
        for no_tools in [None, Some("null"), Some("[]")] {
            assert_eq!(Conversation::from_messages("[]", no_tools).unwrap(), Conversation::default());
        }
    }

    #[test]
    fn system_prompt_and_tool_names_are_context() {
        let messages = r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},
            {"role":"developer","content":"Be kind."}]"#;
        let tools = r#"[{"type":"function","function":{"name":"get_weather","parameters":{}}},{"name":"search"}]"#;
        let read = Conversation::from_messages(messages, Some(tools)).unwrap();
        assert_eq!(read.context, "Be brief.\nBe kind.\nget_weather\nsearch");
        assert_eq!(
            Conversation::from_messages(messages, Some("[{\"name\":7}]")).unwrap().context,
            "Be brief.\nBe kind."
        );
        let long = serde_json::json!([{ "role": "system", "content": "é".repeat(5_000) }]).to_string();
        let read = Conversation::from_messages(&long, Some(tools)).unwrap();
        assert_eq!(read.context, "é".repeat(CONTEXT));
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let error = |messages: &str| Conversation::from_messages(messages, None).unwrap_err().to_string();
        assert!(error("{}").starts_with("messages must be an array"), "{}", error("{}"));
        assert!(error(r#"[{"role":"user","content":"a"}, 7]"#).starts_with("messages[1] is no message object"));
        assert!(error(r#"[{"role":"user","content":7}]"#).starts_with("messages[0]"));
    }

    #[test]
    fn a_long_text_keeps_both_ends() {
        let text = format!("start{}end", "é".repeat(50_000));
        let read = Conversation::from_prompt(&text);
        assert_eq!(read.prompt.chars().count(), HEAD + TAIL + 1);
        assert!(read.prompt.starts_with("start") && read.prompt.ends_with("end"));
        assert_eq!(read.prompt_bytes, text.len());
        let short = "x".repeat(HEAD + TAIL);
        assert_eq!(Conversation::from_prompt(&short).prompt, short);
    }
}
