//! What a request asks of a model beside reading and writing text.

use std::borrow::Cow;

use memchr::memmem::find;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::endpoint::Endpoint;
use crate::request::Request;

/// Messages, their parts, and the parts of a tool's result: nothing that a model is shown lies deeper.
const DEEPEST: usize = 4;

/// One thing that not every model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To look at images.
    Image,
    /// To hear sound.
    Audio,
    /// To read files that are no text.
    File,
    /// To watch video.
    Video,
    /// To call tools.
    Tools,
    /// To answer in a given JSON schema.
    Schema,
    /// To answer in sound.
    Speech,
    /// To answer in images.
    Picture,
}

// === impl Need ===

impl Need {
    /// The word for metrics, logs and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::File => "file",
            Self::Video => "video",
            Self::Tools => "tools",
            Self::Schema => "schema",
            Self::Speech => "audio_output",
            Self::Picture => "image_output",
        }
    }

    /// What a part of this type, in any of the protocols, asks for.
    fn of_part(kind: &str) -> Option<Self> {
        match kind {
            "image" | "image_url" | "input_image" => Some(Self::Image),
            "audio" | "audio_url" | "input_audio" => Some(Self::Audio),
            "document" | "file" | "input_file" => Some(Self::File),
            "video" | "video_url" | "input_video" => Some(Self::Video),
            _ => None,
        }
    }
}

impl Request {
    /// What it asks for beside text, each once.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        let question = self.member(self.endpoint().question()).unwrap_or_default();
        // Most requests have no such part, and need not be read for it.
        if may_have_parts(question) {
            parts(question, DEEPEST, &mut needs);
        }
        if self.member("tools").is_some_and(|tools| tools.contains('{')) {
            needs.push(Need::Tools);
        }
        let format = match self.endpoint() {
            Endpoint::Chat => self.member("response_format"),
            Endpoint::Responses | Endpoint::Compact => self.member("text"),
            Endpoint::Messages => self.member("output_config").or_else(|| self.member("output_format")),
            Endpoint::Completions | Endpoint::Embeddings => None,
        };
        if format.is_some_and(|format| has(format, "\"json_schema\"")) {
            needs.push(Need::Schema);
        }
        let modalities = self.member("modalities").unwrap_or_default();
        let told = [("\"audio\"", Need::Speech), ("\"image\"", Need::Picture)];
        needs.extend(told.into_iter().filter(|(word, _)| has(modalities, word)).map(|(_, need)| need));
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}

fn has(text: &str, word: &str) -> bool {
    find(text.as_bytes(), word.as_bytes()).is_some()
}

/// Whether there may be a part of another kind than text: a string that begins as their kinds do.
fn may_have_parts(question: &str) -> bool {
    const KINDS: [&str; 6] = ["image", "input_", "audio", "file", "document", "video"];
    let mut quotes = memchr::memchr_iter(b'"', question.as_bytes());
    // A quote is a byte of its own, so that the text can be cut after it.
    quotes.any(|at| KINDS.iter().any(|kind| question[at + 1..].starts_with(kind)))
}

/// Adds what the parts of a list ask for, and those within them.
fn parts(list: &str, deepest: usize, needs: &mut Vec<Need>) {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
        #[serde(borrow)]
        output: Option<&'a RawValue>,
    }
    let listed: Vec<&RawValue> = serde_json::from_str(list).unwrap_or_default();
    for part in listed {
        let Ok(Part { kind, content, output }) = serde_json::from_str::<Part<'_>>(part.get()) else { continue };
        needs.extend(Need::of_part(&kind));
        if deepest > 1 {
            [content, output].into_iter().flatten().for_each(|inner| parts(inner.get(), deepest - 1, needs));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(endpoint: Endpoint, question: &str, more: &str) -> Vec<Need> {
        let body = format!(r#"{{"model":"m","{}":{question}{more}}}"#, endpoint.question());
        Request::parse(endpoint, body.into()).unwrap().needs()
    }

    #[test]
    fn parts_of_every_protocol_are_seen_and_words_are_not() {
        use Endpoint::{Chat, Messages, Responses};
        for (endpoint, question, expected) in [
            (Chat, r#"[{"role":"user","content":"\"image_url\""}]"#, vec![]),
            (Chat, r#"[{"role":"user","content":[{"type":"text","text":"\"image\""}]}]"#, vec![]),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"image_url"},{"type":"input_audio"}]}]"#,
                vec![Need::Image, Need::Audio],
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"file"},{"type":"video_url"},{"type":"file"}]}]"#,
                vec![Need::File, Need::Video],
            ),
            (
                Messages,
                r#"[{"role":"user","content":[{"type":"document"},{"type":"image"}]}]"#,
                vec![Need::Image, Need::File],
            ),
            // What a tool has returned, and what it was asked with.
            (
                Messages,
                r#"[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image"}]}]}]"#,
                vec![Need::Image],
            ),
            (Messages, r#"[{"role":"assistant","content":[{"type":"tool_use","input":{"type":"image"}}]}]"#, vec![]),
            (
                Responses,
                r#"[{"role":"user","content":[{"type":"input_image"}]},{"type":"input_file"}]"#,
                vec![Need::Image, Need::File],
            ),
            (Responses, r#"[{"type":"function_call_output","output":[{"type":"input_image"}]}]"#, vec![Need::Image]),
            (Responses, r#""input_image""#, vec![]),
        ] {
            assert_eq!(needs(endpoint, question, ""), expected, "{question}");
        }
    }

    #[test]
    fn tools_schemas_and_other_answers_are_seen() {
        let one = r#"[{"role":"user","content":"x"}]"#;
        for (endpoint, more, expected) in [
            (Endpoint::Chat, r#","tools":[]"#, vec![]),
            (Endpoint::Chat, r#","tools":[{"type":"function"}]"#, vec![Need::Tools]),
            (Endpoint::Chat, r#","response_format":{"type":"json_object"}"#, vec![]),
            (Endpoint::Chat, r#","response_format":{"type":"json_schema"}"#, vec![Need::Schema]),
            (Endpoint::Chat, r#","modalities":["text","audio"]"#, vec![Need::Speech]),
            (Endpoint::Chat, r#","modalities":["image"]"#, vec![Need::Picture]),
            (Endpoint::Responses, r#","text":{"format":{"type":"json_schema"}}"#, vec![Need::Schema]),
            (Endpoint::Messages, r#","output_config":{"format":{"type":"json_schema"}}"#, vec![Need::Schema]),
        ] {
            assert_eq!(needs(endpoint, one, more), expected, "{more}");
        }
    }
}
