//! Which model a conversation is with, so that its next turn finds the provider's prompt cache and its own reasoning there.

mod cached;
mod items;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use slarouter_protocol::json;
use tokio::time::{Duration, Instant};

use cached::CachedShares;
pub(crate) use items::{Items, Owner};

const SESSION: HeaderName = HeaderName::from_static("x-slarouter-session");
/// Where coding agents name their sessions: Claude Code, and Codex by its newer and its older name.
const AGENT_SESSIONS: [&str; 3] = ["x-claude-code-session-id", "session-id", "session_id"];
/// Conversations of one generation; two are held.
const GENERATION: usize = 50_000;
/// A conversation is forgotten one to two of these after its last turn: providers' caches do not live longer.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// A bounded memory of conversations. Two generations: new ones go into the young one, which grows old when it is full or its
/// time is over, and then replaces the old one; a conversation that goes on is young again. All operations are O(1).
#[derive(Default)]
pub(crate) struct Sessions {
    hasher: RandomState,
    held: Mutex<Generations>,
    shares: CachedShares,
    /// What was said in them, for those who refer to it.
    pub(crate) items: Items,
}

/// What is known of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    /// The model that it is with.
    pub(crate) model: Arc<str>,
    /// Input tokens of its last turn, estimated.
    sent: f64,
    /// Input tokens of its last turn as the provider counted them, once it has.
    counted: Option<f64>,
    /// When it was answered last.
    at: Instant,
}

/// A turn of a conversation that is being answered.
#[derive(Clone, Debug)]
pub(crate) struct SessionTurn {
    pub(crate) id: SessionId,
    /// What was known of the conversation before it.
    pub(crate) before: Option<Session>,
    pub(crate) arrived: Instant,
}

/// What a provider reports of a turn, in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// The gateway's own estimate of the input.
    pub(crate) estimated: f64,
    /// The input, as the provider counted it.
    pub(crate) input: f64,
    /// Those of the input that came from its cache.
    pub(crate) cached: f64,
}

#[derive(Default)]
struct Generations {
    since: Option<Instant>,
    young: HashMap<u64, Session>,
    old: HashMap<u64, Session>,
}

/// A conversation, by a hash that nobody outside can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    key: u64,
    /// Whether this is a later turn, which is to follow the earlier ones.
    pub(crate) goes_on: bool,
}

impl Sessions {
    /// The conversation that a request of `route` belongs to: as `x-slarouter-session` names it, or by the session of an agent and what
    /// stands before the user's first message, as agents that work for others share their session with them; or else by its opening
    /// (all up to the first message of the user) and `prompt_cache_key`. A key for the cache alone says little, as clients share it
    /// among conversations; nor does an opening before there was an answer. `messages` are those of the request's outline, `metadata`
    /// and `prompt_cache_key` its members.
    pub(crate) fn of(
        &self,
        route: &str,
        headers: &HeaderMap,
        messages: &str,
        metadata: Option<&str>,
        prompt_cache_key: Option<&str>,
    ) -> Option<SessionId> {
        let named = |name: &str| headers.get(name).filter(|value| !value.is_empty()).map(HeaderValue::as_bytes);
        if let Some(name) = named(SESSION.as_str()) {
            return Some(SessionId { key: self.hasher.hash_one((route, "named", name)), goes_on: true });
        }
        let Opening { messages, answered } = opening(messages)?;
        let agent = AGENT_SESSIONS.into_iter().find_map(named).map(Cow::Borrowed);
        let session = agent.or_else(|| session_of_user(metadata?).map(|name| Cow::Owned(name.into_bytes())));
        if let Some(session) = session {
            let preface = &messages[..messages.len() - 1];
            return Some(SessionId { key: self.hasher.hash_one((route, "agent", session, preface)), goes_on: true });
        }
        Some(SessionId { key: self.hasher.hash_one((route, "opening", prompt_cache_key, messages)), goes_on: answered })
    }

    /// What is known of a conversation so far.
    pub(crate) fn find(&self, id: SessionId, now: Instant) -> Option<Session> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.age(now);
        held.young.get(&id.key).or_else(|| held.old.get(&id.key)).cloned()
    }

    /// Notes which model answered a turn of `sent` input tokens, estimated.
    pub(crate) fn answered(&self, id: SessionId, model: &str, sent: f64, now: Instant) {
        self.note(id, Session { model: model.into(), sent, counted: None, at: now });
    }

    fn note(&self, id: SessionId, session: Session) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = session.at;
        held.age(now);
        if held.young.len() >= GENERATION {
            held.turn(now);
        }
        held.young.insert(id.key, session);
    }

    /// Learns from the usage report of a turn.
    pub(crate) fn reported(&self, turn: &SessionTurn, model: &Arc<str>, report: Report, now: Instant) {
        let Report { estimated, input, cached } = report;
        if let Some(before) = turn.before.as_ref().filter(|before| before.model == *model)
            && let Some(counted) = before.counted
        {
            let pause = turn.arrived.saturating_duration_since(before.at);
            self.shares.observe(model, pause, cached, counted.min(input));
        }
        self.note(turn.id, Session { model: model.clone(), sent: estimated, counted: Some(input), at: now });
    }

    /// Of `input_tokens`, estimated, those that the conversation's model is expected to read from its cache.
    pub(crate) fn cached(&self, session: &Session, input_tokens: f64, now: Instant) -> f64 {
        let share = self.shares.expected(&session.model, now.saturating_duration_since(session.at));
        share * session.sent.min(input_tokens)
    }
}

impl Generations {
    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= 2 * LIFETIME {
            self.young.clear();
        }
        if age >= LIFETIME {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }
}

/// The session that Claude Code names inside of `metadata.user_id`: as a member `session_id` of JSON, or at the end after `_session_`.
fn session_of_user(metadata: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        user_id: String,
    }
    #[derive(Deserialize)]
    struct User {
        session_id: String,
    }
    let Metadata { user_id } = serde_json::from_str(metadata).ok()?;
    let named = serde_json::from_str(&user_id).ok().map(|User { session_id }| session_id);
    named.or_else(|| user_id.rsplit_once("_session_").map(|(_, session)| session.to_owned()))
}

/// How a conversation begins.
struct Opening<'a> {
    /// Roles and texts up to the first message of the user. How a text is cut into parts, and marks for a cache, which move from turn to
    /// turn, are left aside.
    messages: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    /// Whether an assistant has answered since.
    answered: bool,
}

fn opening(messages: &str) -> Option<Opening<'_>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let messages: Vec<&RawValue> = serde_json::from_str(messages).ok()?;
    let mut opening = Vec::new();
    let mut rest = messages.into_iter().filter_map(|raw| serde_json::from_str::<Message<'_>>(raw.get()).ok());
    loop {
        let Message { role, content } = rest.next()?;
        let asked = role == "user";
        opening.push((role, content.map(|content| texts(content.get())).unwrap_or_default()));
        if asked {
            return Some(Opening { messages: opening, answered: rest.any(|message| message.role == "assistant") });
        }
    }
}

/// The texts of a content, and what has none as it is written.
fn texts(content: &str) -> Vec<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Cow<'a, str>,
    }
    if let Some(text) = json::text(content.as_bytes()) {
        return vec![text.into()];
    }
    let parts: Vec<&RawValue> = serde_json::from_str(content).unwrap_or_default();
    let text = |part: &str| serde_json::from_str::<Part<'_>>(part).ok().map(|part| part.text.into_owned());
    parts.into_iter().map(|part| text(part.get()).map_or(Cow::Borrowed(part.get()), Cow::Owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"[{"role":"system","content":"s"},{"role":"user","content":"a"}]"#;
    const SECOND: &str = r#"[{"role":"system","content":"s"},{"role":"user","content":"a"},
        {"role":"assistant","content":"b"},{"role":"user","content":"c"}]"#;

    #[test]
    fn a_conversation_is_known_by_its_opening_once_it_was_answered() {
        let sessions = Sessions::default();
        let nameless = HeaderMap::new();
        let of = |messages: &str, cache| sessions.of("default", &nameless, messages, None, cache).unwrap();
        let (first, second) = (of(FIRST, None), of(SECOND, None));
        assert_eq!((first.key, first.goes_on, second.goes_on), (second.key, false, true));
        assert_ne!(of(SECOND, Some("\"k\"")).key, second.key);
        assert_ne!(of(&SECOND.replace("\"a\"", "\"x\""), None).key, second.key);
        assert_ne!(sessions.of("other", &nameless, SECOND, None, None).unwrap().key, second.key);
        assert_eq!(sessions.of("default", &nameless, r#"[{"role":"system","content":"s"}]"#, None, None), None);

        let named = HeaderMap::from_iter([(SESSION, "s-1".parse().unwrap())]);
        let of = |messages: &str| sessions.of("default", &named, messages, None, None).unwrap();
        assert_eq!(of(FIRST), of(SECOND));
        assert!(of(FIRST).goes_on, "who names a session says what belongs together");
    }

    #[test]
    fn the_memory_is_bounded_in_number_and_time() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let session = |key| SessionId { key, goes_on: true };
        let model = |key, at| sessions.find(session(key), at).map(|held| held.model);
        for key in 0..3 * GENERATION as u64 {
            sessions.answered(session(key), "small", 1.0, now);
        }
        let held = sessions.held.lock().unwrap();
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION);
        drop(held);
        let last = 3 * GENERATION as u64 - 1;
        assert_eq!((model(0, now), model(last, now).as_deref()), (None, Some("small")));
        assert!(model(last, now + LIFETIME).is_some(), "it has grown old");
        assert!(model(last, now + 2 * LIFETIME).is_none());
        sessions.answered(session(1), "large", 1.0, now + 2 * LIFETIME);
        assert!(model(1, now + 9 * LIFETIME).is_none(), "however long nobody looked");
    }

    #[test]
    fn what_a_turn_reads_from_the_cache_is_expected_of_the_next() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (id, small, large) = (SessionId { key: 1, goes_on: true }, Arc::from("small"), Arc::from("large"));
        let turn = |arrived| SessionTurn { id, before: sessions.find(id, arrived), arrived };
        let report = |estimated, input, cached| Report { estimated, input, cached };
        let expected = |at| sessions.cached(&sessions.find(id, at).unwrap(), 150.0, at);

        // Estimates are of 100 tokens, the provider counts 120.
        sessions.reported(&turn(now), &small, report(100.0, 120.0, 60.0), now);
        assert_eq!(expected(now), 0.0, "a first turn says nothing of the next");
        sessions.reported(&turn(now), &small, report(110.0, 140.0, 90.0), now);
        assert_eq!(expected(now), 0.5 * 0.75 * 110.0, "90 of the 120 sent before, half believed");
        assert_eq!(expected(now + Duration::from_secs(600)), 0.0, "nothing is known of so long a pause");

        // Another model has none of it, and what it says is its own.
        sessions.reported(&turn(now), &large, report(120.0, 150.0, 150.0), now);
        assert_eq!(expected(now), 0.0);
        // An answer without a report leaves nothing to compare the next one with.
        sessions.answered(id, "large", 130.0, now);
        sessions.reported(&turn(now), &large, report(140.0, 170.0, 170.0), now);
        assert_eq!(expected(now), 0.0);
        sessions.reported(&turn(now), &large, report(140.0, 160.0, 160.0), now);
        assert_eq!(expected(now), 0.5 * 140.0, "a shorter prompt: all of it is read");
    }
}
