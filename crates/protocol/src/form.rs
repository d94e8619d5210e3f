//! The common form: what a request, an answer and a stream say, whichever protocol says it.

mod field;
mod tools;

pub(crate) use field::Field;
pub use tools::Disguise;
pub(crate) use tools::{Choice, Offer, Tool};

use crate::dropped::Dropped;
use crate::endpoint::{Protocol, Upstream};
use crate::fields::{Fields, NOT_CARRIED, Refusal};
use crate::json::quote;
use crate::usage::Usage;

/// A request for one answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommonRequest {
    /// The protocol that it was read from: refusals name its fields.
    pub(crate) origin: Protocol,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Option<Choice>,
    /// Whether several tools may be called at once.
    pub(crate) parallel: Option<bool>,
    /// Most tokens of the answer, reasoning included.
    pub(crate) max_tokens: Option<u64>,
    /// Spelled as in the request, like [`Self::top_p`]: numbers keep their digits.
    pub(crate) temperature: Option<String>,
    pub(crate) top_p: Option<String>,
    pub(crate) top_k: Option<String>,
    pub(crate) stop: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) format: Option<Format>,
    /// OpenAI's word for how much to reason: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    pub(crate) effort: Option<String>,
    /// Whether the client wants to see the reasoning.
    pub(crate) show_reasoning: bool,
    pub(crate) verbosity: Option<String>,
    /// Who asks, for the provider's abuse detection.
    pub(crate) user: Option<String>,
    /// The client's notes on the request, a raw object.
    pub(crate) metadata: Option<String>,
    pub(crate) cache_key: Option<String>,
    /// OpenAI's word for the service tier.
    pub(crate) tier: Option<String>,
    /// What no other protocol has, and the answer means the same without.
    pub(crate) dropped: Dropped,
}

/// What one side of the conversation said at one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
    /// Where it stands in the request, as in `messages[3]`.
    pub(crate) place: String,
    /// Anthropic's mark, raw, that its cache is to keep all up to the end of this turn.
    pub(crate) cache: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Developer,
    /// The user, and the results of tools.
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Image(Source),
    File {
        name: Option<String>,
        source: Source,
    },
    Refusal(String),
    /// The seal is its provider's, or ours ([`crate::seal`]); of an answer's reasoning there is none.
    Reasoning {
        text: String,
        seal: Option<String>,
    },
    /// The arguments are JSON text, as the model wrote it.
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    Result {
        id: String,
        parts: Vec<Part>,
        failed: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Url(String),
    Data { media: String, base64: String },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// Any JSON object.
    Json,
    /// JSON that fits a schema.
    Schema { name: Option<String>, description: Option<String>, schema: String, strict: Option<bool> },
}

/// An answer that came whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommonAnswer {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) parts: Vec<Part>,
    pub(crate) stop: Stop,
    pub(crate) usage: Option<Usage>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    /// At one of the request's stop sequences; which one, if the upstream says so.
    Sequence(Option<String>),
    Length,
    Tools,
    /// A filter of the provider's, or the model declined.
    Filter,
}

/// A step of a streamed answer. One block is open at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Start {
        id: Option<String>,
        model: Option<String>,
    },
    Open(Block),
    /// More of the open block.
    Delta(String),
    Close,
    /// Later reports replace earlier ones.
    Usage(Usage),
    Stop(Stop),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    Text,
    Reasoning,
    Refusal,
    Call { id: String, name: String },
}

/// What the gateway puts around an answer.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Takes the place of the upstream's id.
    pub id: String,
    /// Goes in if the upstream names no model.
    pub model: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Members of the request that answers of this protocol repeat, raw.
    pub echo: Vec<(&'static str, String)>,
    /// Tools of the request that the model knows as functions.
    pub disguises: Vec<Disguise>,
}

// === impl CommonRequest ===

impl CommonRequest {
    /// Who asks and on which terms: the same members in both of OpenAI's protocols.
    pub(crate) fn read_caller(&mut self, fields: &mut Fields<'_>) -> Result<(), Refusal> {
        let (old, new) = (fields.text("user")?, fields.text("safety_identifier")?);
        self.user = new.or(old);
        self.metadata = fields.take("metadata").filter(|metadata| *metadata != "{}").map(str::to_owned);
        self.cache_key = fields.text("prompt_cache_key")?;
        self.tier = fields.text("service_tier")?;
        Ok(())
    }

    /// An empty request.
    pub(crate) fn new(origin: Protocol) -> Self {
        Self {
            origin,
            turns: Vec::new(),
            tools: Vec::new(),
            choice: None,
            parallel: None,
            max_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            stop: Vec::new(),
            stream: false,
            format: None,
            effort: None,
            show_reasoning: false,
            verbosity: None,
            user: None,
            metadata: None,
            cache_key: None,
            tier: None,
            dropped: Dropped::default(),
        }
    }

    /// How much this model is to reason, in OpenAI's word. For one that cannot be told, the wish is left out and said.
    pub(crate) fn effort_of(&self, upstream: Upstream<'_>, dropped: &mut Dropped) -> Option<&str> {
        if !upstream.reasons {
            self.drop_given(&[(self.effort.is_some(), Field::Effort)], dropped);
            return None;
        }
        self.effort.as_deref()
    }

    /// What the request calls a field.
    pub(crate) fn name(&self, field: Field) -> &'static str {
        field.name(self.origin)
    }

    /// Takes note of those fields that are given.
    pub(crate) fn drop_given(&self, fields: &[(bool, Field)], dropped: &mut Dropped) {
        for (_, field) in fields.iter().filter(|(given, _)| *given) {
            dropped.note(self.name(*field));
        }
    }

    /// Takes the tools that were offered. Those that only their provider can run are left out beside others; alone they are what
    /// the request is about, and are refused.
    pub(crate) fn offer(&mut self, offers: impl IntoIterator<Item = Offer>) -> Result<(), Refusal> {
        let mut foreign = Vec::new();
        for offer in offers {
            match offer {
                Offer::Tools(tools) => self.tools.extend(tools),
                Offer::Foreign(refusal) => foreign.push(refusal),
            }
        }
        if self.tools.is_empty() && !foreign.is_empty() {
            return Err(foreign.swap_remove(0));
        }
        for refusal in foreign {
            self.dropped.note(&refusal.param);
        }
        Ok(())
    }

    /// Takes which tool is to be called, once those that are offered are known.
    ///
    /// # Errors
    /// If it is none of them: a model that was made to call it would have to be refused by its provider.
    pub(crate) fn choose(&mut self, choice: Option<Choice>) -> Result<(), Refusal> {
        if let Some(Choice::Named(name)) = &choice
            && !self.tools.iter().any(|tool| tool.name == *name)
        {
            let what = "wants a tool called that is not in `tools`, or that the model's protocol has nothing like";
            return Err(Refusal::new("tool_choice", format_args!("= {} {what}", quote(name))));
        }
        self.choice = choice;
        Ok(())
    }

    /// Adds to the last turn if it has this role, and begins a new one otherwise: tools that were called together, and
    /// their results, belong together.
    pub(crate) fn join(&mut self, role: Role, part: Part, place: String) {
        let joins = |turn: &Turn| match role {
            Role::Assistant => turn.role == role,
            _ => turn.role == role && turn.parts.iter().all(|part| matches!(part, Part::Result { .. })),
        };
        match self.turns.last_mut().filter(|turn| joins(turn)) {
            Some(turn) => turn.parts.push(part),
            None => self.turns.push(Turn::new(role, vec![part], place)),
        }
    }
}

// === impl Turn ===

impl Turn {
    /// A turn without a mark.
    pub(crate) fn new(role: Role, parts: Vec<Part>, place: impl Into<String>) -> Self {
        Self { role, parts, place: place.into(), cache: None }
    }
}

// === impl Part ===

impl Part {
    /// Reasoning of an answer.
    pub(crate) fn reasoning(text: impl Into<String>) -> Self {
        Self::Reasoning { text: text.into(), seal: None }
    }

    /// What it says, if it is plain text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A refusal of a part that cannot stand at this place.
    pub(crate) fn refuse(&self, place: &str) -> Refusal {
        let what = match self {
            Self::Text(_) => "text",
            Self::Image(_) => "an image",
            Self::File { .. } => "a file",
            Self::Refusal(_) => "a refusal",
            Self::Reasoning { .. } => "reasoning",
            Self::Call { .. } => "a call of a tool",
            Self::Result { .. } => "the result of a tool",
        };
        Refusal::new(place, format_args!("has {what} that {NOT_CARRIED}"))
    }
}

// === impl Source ===

impl Source {
    /// Reads a URL, which may hold the data itself.
    pub(crate) fn from_url(url: String, place: &str) -> Result<Self, Refusal> {
        if let Some(rest) = url.strip_prefix("data:") {
            let (media, base64) = rest
                .split_once(";base64,")
                .ok_or_else(|| Refusal::new(place, "must be a data URL in base64: data:<type>;base64,<data>"))?;
            return Ok(Self::Data { media: media.to_owned(), base64: base64.to_owned() });
        }
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(Self::Url(url));
        }
        Err(Refusal::new(place, "must be an http, https or data URL"))
    }

    /// The URL, with the data inside if there is no other.
    pub(crate) fn to_url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Data { media, base64 } => format!("data:{media};base64,{base64}"),
        }
    }
}

// === impl Envelope ===

impl Envelope {
    /// The tool behind a function.
    pub(crate) fn disguise(&self, function: &str) -> Option<&Disguise> {
        self.disguises.iter().find(|disguise| disguise.function == function)
    }

    /// Whether the tool behind a function takes a text.
    pub(crate) fn takes_text(&self, function: &str) -> bool {
        self.disguise(function).is_some_and(|disguise| disguise.takes_text)
    }
}

// === impl CommonAnswer ===

impl CommonAnswer {
    /// All text of a kind, joined.
    pub(crate) fn joined(&self, of: impl Fn(&Part) -> Option<&str>) -> Option<String> {
        let mut found = self.parts.iter().filter_map(of).peekable();
        found.peek().is_some().then(|| found.collect())
    }
}

// === impl Stop ===

impl Stop {
    /// Some servers say that an answer which calls tools has simply ended.
    pub(crate) fn or_tools(self, any_calls: bool) -> Self {
        if any_calls && self == Self::End { Self::Tools } else { self }
    }
}

/// Text of a tool's result that failed: OpenAI's protocols have no mark for it, so it is said in words.
pub(crate) fn failed_text(text: &str) -> String {
    format!("Error: {text}")
}
