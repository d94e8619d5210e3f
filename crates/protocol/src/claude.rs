//! What a Claude wants to hear, by its name.

/// The first generation that reasons as much as it sees fit, steered by an effort instead of a budget of tokens. The next ones refuse a budget.
const ADAPTIVE: (u32, u32) = (4, 6);
/// The first generation that knows the effort `xhigh`, and that refuses `temperature`, `top_p` and `top_k`.
const UNSAMPLED: (u32, u32) = (4, 7);

/// A model of Anthropic's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claude {
    /// `None` for a model that is no Claude.
    generation: Option<(u32, u32)>,
}

// === impl Claude ===

impl Claude {
    /// Reads the provider's name for a model, as `claude-opus-4-6`, `claude-3-7-sonnet-20250219`, `anthropic/claude-4.6-opus` or
    /// `claude-opus-4-5@20251101`. A Claude without a number is a new one.
    pub(crate) fn named(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let generation = name.find("claude").map(|at| {
            let words = name[at..].split(|char: char| !char.is_ascii_alphanumeric());
            // Longer ones are dates.
            let mut numbers = words.filter(|word| word.len() <= 2).filter_map(|word| word.parse().ok());
            numbers.next().map_or((u32::MAX, 0), |major| (major, numbers.next().unwrap_or(0)))
        });
        Self { generation }
    }

    /// Whether it takes `thinking` of the type `adaptive` with an effort.
    pub(crate) fn is_adaptive(self) -> bool {
        self.generation.is_some_and(|generation| generation >= ADAPTIVE)
    }

    /// Whether it can be told how to draw the next token.
    pub(crate) fn is_sampled(self) -> bool {
        self.generation.is_none_or(|generation| generation < UNSAMPLED)
    }

    /// OpenAI's word for an effort, in the word that this model knows; `None` for one that asks for no reasoning.
    pub(crate) fn effort(self, word: &str) -> Option<&'static str> {
        match word {
            "none" => None,
            "minimal" | "low" => Some("low"),
            "medium" => Some("medium"),
            "high" => Some("high"),
            "xhigh" if !self.is_sampled() => Some("xhigh"),
            _ => Some("max"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_in_the_name() {
        for (name, adaptive, sampled) in [
            ("claude-3-7-sonnet-20250219", false, true),
            ("claude-opus-4-20250514", false, true),
            ("claude-sonnet-4-5-20250929", false, true),
            ("us.anthropic.claude-haiku-4-5-v1:0", false, true),
            ("claude-opus-4-5@20251101", false, true),
            ("claude-opus-4-6", true, true),
            ("anthropic/Claude-4.6-Sonnet", true, true),
            ("us.anthropic.claude-opus-4-6-v1", true, true),
            ("claude-opus-4-7", true, false),
            ("claude-opus-5", true, false),
            ("claude-sonnet-latest", true, false),
            ("kimi-k2-thinking", false, true),
            ("up", false, true),
        ] {
            let claude = Claude::named(name);
            assert_eq!((claude.is_adaptive(), claude.is_sampled()), (adaptive, sampled), "{name}");
        }
    }

    #[test]
    fn efforts_come_as_near_as_the_generation_can() {
        let words = ["none", "minimal", "medium", "xhigh", "max"];
        let told = |name| words.map(|word| Claude::named(name).effort(word));
        assert_eq!(told("claude-opus-4-6"), [None, Some("low"), Some("medium"), Some("max"), Some("max")]);
        assert_eq!(told("claude-opus-5"), [None, Some("low"), Some("medium"), Some("xhigh"), Some("max")]);
    }
}
