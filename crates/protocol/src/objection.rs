//! Why a model does not take a request, as its provider's refusal words it: reasons that may not hold for another model.
//!
//! Providers agree on the status and not on the words. What none of them is known to say is no objection, and so the client's own
//! fault.

use http::StatusCode;

use crate::fault::Fault;
use crate::needs::Need;

/// A reason that lies with the model, or with the server that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The request has too many tokens; the most that it takes, where it says that.
    TooLong(Option<u64>),
    /// It wants the newer name of the limit on an answer, or the older one (`false`).
    MaxCompletionTokens(bool),
    /// It does not know the role `developer`.
    DeveloperRole,
    /// It cannot do something that the request asks for.
    Lacks(Need),
    /// It does not know a field.
    Field(String),
    /// It does not support something else.
    Other,
}

/// Words that say of a length that it is too long.
const TOO_LONG: [&str; 14] = [
    "context length",
    "context window",
    "context_length",
    "context size",
    "maximum context",
    "maximum model length",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "too many input tokens",
    "input token count",
    "input length",
    "reduce the length",
    "exceeds the model's maximum",
];
/// Words of those who do not take something.
const UNSUPPORTED: [&str; 13] = [
    "unsupported",
    "not support",
    "only supported",
    "unknown variant",
    "unknown field",
    "unknown parameter",
    "unknown name",
    "unrecognized",
    "extra inputs are not permitted",
    "extra fields not permitted",
    "invalid content type",
    "is unavailable",
    "not a multimodal",
];
/// Words of those who know the field, and not its value.
const OF_A_VALUE: [&str; 3] = ["unknown variant", "unsupported value", "unsupported_value"];
/// Words of those who take such things, and not this one.
const ABOUT_THIS_ONE: [&str; 10] =
    ["format", "media type", "mime", "download", "fetch", "decode", "corrupt", "size", "dimension", "resolution"];
/// Words of those who cannot call tools.
const NO_TOOLS: [&str; 7] = [
    "not support tool",
    "not support function",
    "support tool use",
    "tools are not supported",
    "tool use is not supported",
    "tool calling is not supported",
    "tool choice requires",
];
/// The names of the limit on an answer, and words that say of it that the model writes less.
const ANSWERS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
const TOO_MANY: [&str; 4] = ["too large", "at most", "less than or equal", "maximum allowed number of output tokens"];
/// What a provider calls things that a message may hold.
const PARTS: [(Need, &[&str]); 4] = [
    (Need::Image, &["image", "vision", "multimodal"]),
    (Need::Audio, &["audio"]),
    (Need::Video, &["video"]),
    (Need::File, &["file", "document", "pdf"]),
];
/// How far before a number stands the word that says what it is.
const NEAR: usize = 6;

// === impl Objection ===

impl Objection {
    /// Reads a refusal; `None` where it is the client's fault, or says nothing that is known.
    #[must_use]
    pub fn read(status: StatusCode, body: &[u8]) -> Option<Self> {
        if !matches!(status.as_u16(), 400 | 404 | 413 | 415 | 422) {
            return None;
        }
        let fault = Fault::read(body)
            .unwrap_or_else(|| Fault { message: String::from_utf8_lossy(body).into_owned(), ..Fault::default() });
        let words = format!("{} {}", fault.code.as_deref().unwrap_or_default(), fault.message).to_lowercase();
        let has = |known: &[&str]| known.iter().any(|word| words.contains(word));
        if has(&TOO_LONG) {
            return Some(Self::TooLong(most(&words)));
        }
        // Of bytes, as a rule, which say nothing of tokens.
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Some(Self::Other);
        }
        if let Some(name) = dialect(&words) {
            return Some(name);
        }
        if has(&NO_TOOLS) {
            return Some(Self::Lacks(Need::Tools));
        }
        if has(&ANSWERS) && has(&TOO_MANY) {
            return Some(Self::Other);
        }
        if !has(&UNSUPPORTED) {
            return None;
        }
        if words.contains("response_format") || words.contains("json_schema") {
            return Some(Self::Lacks(Need::Schema));
        }
        let part = PARTS.iter().find(|(_, names)| has(names)).filter(|_| !has(&ABOUT_THIS_ONE));
        if let Some((need, _)) = part {
            return Some(Self::Lacks(*need));
        }
        // Other values of the same field may be taken, and what is quoted is the client's word.
        if has(&OF_A_VALUE) {
            return Some(Self::Other);
        }
        Some(fault.param.or_else(|| quoted(&fault.message)).map_or(Self::Other, Self::Field))
    }

    /// The word for metrics, logs and messages.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "context",
            Self::MaxCompletionTokens(_) | Self::DeveloperRole => "dialect",
            Self::Lacks(need) => need.word(),
            Self::Field(_) => "field",
            Self::Other => "unsupported",
        }
    }
}

/// What the words say of a name that is known by another one here.
fn dialect(words: &str) -> Option<Objection> {
    let complaint = ["not support", "unsupported", "unrecognized", "unknown", "not permitted", "unexpected"];
    let refused = |name: &str| words.contains(name) && complaint.iter().any(|complaint| words.contains(complaint));
    // Whoever names both tells which one to use.
    let newer = words.find("max_completion_tokens");
    let older = words.find("max_tokens");
    match (older, newer) {
        (Some(older), Some(newer)) if refused("max_tokens") => Some(Objection::MaxCompletionTokens(older < newer)),
        (None, Some(_)) if refused("max_completion_tokens") => Some(Objection::MaxCompletionTokens(false)),
        _ => {
            let role = words.contains("developer") && words.contains("role");
            let variant = words.contains("developer") && words.contains("unknown variant");
            let invalid = refused("developer") || words.contains("not one of") || words.contains("invalid");
            let others = words.contains("developer") && words.contains("'system'");
            // Whoever lists it among the roles to be had misses another one.
            let offered = words.contains("supported values");
            (!offered && (variant || (role && invalid) || others)).then_some(Objection::DeveloperRole)
        }
    }
}

/// The most tokens that the words name: a number behind a word for a limit, or before `maximum`. Of several the largest, as some name
/// the limit on an answer or the question's own length as well.
fn most(words: &str) -> Option<u64> {
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let number = |at: usize| words[at].parse::<u64>().ok().filter(|number| *number > 0);
    let is_limit = |word: &&str| matches!(*word, "maximum" | "max" | "limit" | "window");
    let limits = (0..words.len()).filter_map(|at| {
        let number = number(at)?;
        let before = &words[at.saturating_sub(NEAR)..at];
        let behind = words.get(at + 1).is_some_and(|word| *word == "maximum");
        (behind || before.iter().any(is_limit)).then_some(number)
    });
    limits.max()
}

/// The first word between quotes of any kind.
fn quoted(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(['\'', '"', '`'])?;
    let (name, _) = rest.split_once(['\'', '"', '`'])?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
