//! Whether a model can take a request: by what is known of it, and by what it has refused lately.

use std::sync::OnceLock;

use slarouter_config::Takes;
use slarouter_protocol::dialect::Dialect;
use slarouter_protocol::needs::Need;
use slarouter_protocol::objection::Objection;
use slarouter_protocol::request::Request;
use slarouter_text::Conversation;
use tokio::time::{Duration, Instant};

/// How long a refusal is remembered. A request whose provider's words mislead keeps a model from others like it for no longer.
const LIFETIME: Duration = Duration::from_secs(600);
/// Fields of a model that are remembered at once.
const MOST_FIELDS: usize = 16;
/// A context of fewer tokens is none: the number was another one.
const SHORTEST: f64 = 256.0;
/// Members without which there is no request: no model lacks them, whatever its provider says.
const VITAL: [&str; 3] = ["model", "messages", "input"];

/// A request, and what it asks for; worked out once, and only where a model's limits make it matter.
pub(crate) struct Asked<'a> {
    request: &'a Request,
    needs: OnceLock<Vec<Need>>,
    tokens: OnceLock<f64>,
}

/// What a model has refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// Tokens that are too many, as the gateway counts them.
    too_many: Option<(f64, Instant)>,
    lacks: Vec<(Need, Instant)>,
    fields: Vec<(String, Instant)>,
    /// The words that its server has asked for: until the next start, as servers do not unlearn them.
    dialect: Dialect,
}

// === impl Asked ===

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        Self { request, needs: OnceLock::new(), tokens: OnceLock::new() }
    }

    fn needs(&self) -> &[Need] {
        self.needs.get_or_init(|| self.request.needs())
    }

    /// Whether its tokens are all of text, which alone are counted.
    fn is_text(&self) -> bool {
        self.needs().iter().all(|need| matches!(need, Need::Tools | Need::Schema))
    }

    /// Its tokens, estimated.
    fn tokens(&self) -> f64 {
        *self.tokens.get_or_init(|| {
            let outline = self.request.outline();
            let conversation = Conversation::from_messages(&outline.messages, outline.tools);
            conversation.map_or(0.0, |conversation| f64::from(conversation.input_tokens()))
        })
    }

    /// Works out what a refusal may be about, which takes long for a long conversation.
    pub(super) fn prepare(&self) {
        self.needs();
        self.tokens();
    }

    /// Whether it has at least so many tokens. None is shorter than a byte, so that most requests need not be counted.
    fn reaches(&self, tokens: f64) -> bool {
        self.request.size() as f64 >= tokens && self.tokens() >= tokens
    }
}

// === impl Refusals ===

impl Refusals {
    /// Takes note of why a request was refused, as far as that says something of others.
    pub(super) fn note(&mut self, objection: &Objection, asked: &Asked<'_>, now: Instant) {
        match objection {
            Objection::TooLong(most) => {
                // Without a number, what was refused may have been the answer that it asked for, or an image.
                let plain = || asked.request.asks_no_length() && asked.is_text();
                let told = most.map(|most| most as f64).or_else(|| plain().then(|| asked.tokens()));
                if let Some(tokens) = told.filter(|tokens| *tokens >= SHORTEST) {
                    self.too_many = Some((tokens, now));
                }
            }
            Objection::Lacks(need) if asked.needs().contains(need) => {
                self.lacks.retain(|(held, _)| held != need);
                self.lacks.push((*need, now));
            }
            Objection::Field(name) if !VITAL.contains(&&**name) && asked.request.member(name).is_some() => {
                self.fields.retain(|(held, _)| held != name);
                if self.fields.len() == MOST_FIELDS {
                    self.fields.remove(0);
                }
                self.fields.push((name.clone(), now));
            }
            _ => {}
        }
    }

    /// Takes note of a word that the server wants in place of another; whether it is a new one.
    pub(super) fn reword(&mut self, objection: &Objection, known: Dialect) -> bool {
        let wanted = match objection {
            Objection::MaxCompletionTokens(newer) => {
                Dialect { max_completion_tokens: Some(*newer), ..Dialect::default() }
            }
            Objection::DeveloperRole => Dialect { developer_role: Some(false), ..Dialect::default() },
            _ => return false,
        };
        let before = self.dialect;
        self.dialect = wanted.or(before);
        self.dialect.or(known) != before.or(known)
    }

    /// In which words the server wants a request, of which `known` are known anyway.
    pub(super) fn dialect(&self, known: Dialect) -> Dialect {
        self.dialect.or(known)
    }

    /// Why a request would be refused like an earlier one, in one word.
    pub(super) fn apply_to(&self, asked: &Asked<'_>, now: Instant) -> Option<&'static str> {
        let holds = |since: &Instant| now.saturating_duration_since(*since) < LIFETIME;
        if self.too_many.is_some_and(|(tokens, since)| holds(&since) && asked.reaches(tokens)) {
            return Some(Objection::TooLong(None).word());
        }
        let mut lacks = self.lacks.iter().filter(|(_, since)| holds(since)).map(|(need, _)| need);
        if let Some(need) = lacks.find(|need| asked.needs().contains(need)) {
            return Some(need.word());
        }
        let field = |(name, since): &(String, Instant)| holds(since) && asked.request.member(name).is_some();
        self.fields.iter().any(field).then_some("field")
    }
}

/// Why a model that can take so much cannot take the request, in one word.
pub(super) fn misfit(takes: &Takes, asked: &Asked<'_>) -> Option<&'static str> {
    if takes.context_tokens.is_some_and(|most| asked.reaches(most as f64 + 1.0)) {
        return Some(Objection::TooLong(None).word());
    }
    takes.lacks(asked.needs()).map(Need::word)
}

#[cfg(test)]
mod tests {
    use slarouter_protocol::Endpoint;

    use super::*;

    fn request(content: &str, more: &str) -> Request {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]{more}}}"#);
        Request::parse(Endpoint::Chat, body.into()).unwrap()
    }

    fn told(held: &Refusals, request: &Request, now: Instant) -> Option<&'static str> {
        held.apply_to(&Asked::of(request), now)
    }

    #[test]
    fn a_length_that_was_refused_keeps_longer_ones_away_for_a_while() {
        let (mut held, now) = (Refusals::default(), Instant::now());
        let (short, long) =
            (request(&format!("\"{}\"", "a b ".repeat(10)), ""), request(&format!("\"{}\"", "a b ".repeat(900)), ""));
        held.note(&Objection::TooLong(Some(500)), &Asked::of(&long), now);
        assert_eq!((told(&held, &long, now), told(&held, &short, now)), (Some("context"), None));
        assert_eq!(told(&held, &long, now + LIFETIME), None);
        // Who asks for an endless answer makes no short question too long.
        let mut held = Refusals::default();
        held.note(&Objection::TooLong(None), &Asked::of(&request("\"a\"", r#","max_tokens":1000000"#)), now);
        assert_eq!(told(&held, &long, now), None);
        // Nor does an image, which is not counted, nor a number that is no limit.
        let image = request(r#"[{"type":"image_url"}]"#, "");
        held.note(&Objection::TooLong(None), &Asked::of(&image), now);
        held.note(&Objection::TooLong(Some(4)), &Asked::of(&image), now);
        assert_eq!((told(&held, &long, now), told(&held, &image, now)), (None, None));
        held.note(&Objection::TooLong(None), &Asked::of(&long), now);
        assert_eq!((told(&held, &long, now), told(&held, &short, now)), (Some("context"), None));
    }

    #[test]
    fn what_was_not_asked_for_is_not_learnt() {
        let (mut held, now) = (Refusals::default(), Instant::now());
        let (plain, image) = (request("\"a\"", ""), request(r#"[{"type":"image_url"}]"#, r#","seed":1"#));
        for objection in
            [Objection::Lacks(Need::Image), Objection::Field("seed".into()), Objection::Field("messages".into())]
        {
            held.note(&objection, &Asked::of(&plain), now);
        }
        assert_eq!((told(&held, &image, now), told(&held, &plain, now)), (None, None));
        held.note(&Objection::Lacks(Need::Image), &Asked::of(&image), now);
        assert_eq!((told(&held, &image, now), told(&held, &plain, now)), (Some("image"), None));
        let mut held = Refusals::default();
        held.note(&Objection::Field("seed".into()), &Asked::of(&image), now);
        assert_eq!((told(&held, &image, now), told(&held, &plain, now)), (Some("field"), None));
        for n in 0..100 {
            let name = format!("f{n}");
            held.note(&Objection::Field(name.clone()), &Asked::of(&request("\"a\"", &format!(r#","{name}":1"#))), now);
        }
        assert_eq!(held.fields.len(), MOST_FIELDS);
    }

    #[test]
    fn a_word_is_learnt_once() {
        let (mut held, known) = (Refusals::default(), Dialect { developer_role: Some(true), ..Dialect::default() });
        assert!(held.reword(&Objection::DeveloperRole, known));
        assert!(!held.reword(&Objection::DeveloperRole, known));
        assert!(held.reword(&Objection::MaxCompletionTokens(true), known));
        assert!(!held.reword(&Objection::Other, known));
        assert_eq!(held.dialect(known), Dialect { developer_role: Some(false), max_completion_tokens: Some(true) });
    }

    #[test]
    fn what_is_known_of_a_model_keeps_what_it_cannot_take_away() {
        let takes = Takes { context_tokens: Some(500), input: Some(Vec::new()), ..Takes::default() };
        let word = |request: &Request| misfit(&takes, &Asked::of(request));
        assert_eq!(word(&request("\"a b\"", "")), None);
        assert_eq!(word(&request(&format!("\"{}\"", "a b ".repeat(900)), "")), Some("context"));
        assert_eq!(word(&request(r#"[{"type":"image_url"}]"#, "")), Some("image"));
        assert_eq!(misfit(&Takes::default(), &Asked::of(&request(r#"[{"type":"image_url"}]"#, ""))), None);
    }
}
