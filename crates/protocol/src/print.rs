//! Printing JSON by hand: members in the order they are named, and raw values byte for byte.

use crate::json::quote;

/// An object being printed.
#[derive(Debug)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// An object whose first member is its `type`.
    pub(crate) fn of(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    /// A member with a raw value.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quote(name));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.raw(name, &quote(text))
    }

    pub(crate) fn count(self, name: &str, count: u64) -> Self {
        self.raw(name, &count.to_string())
    }

    pub(crate) fn flag(self, name: &str, flag: bool) -> Self {
        self.raw(name, if flag { "true" } else { "false" })
    }

    pub(crate) fn null(self, name: &str) -> Self {
        self.raw(name, "null")
    }

    /// A member that is left out if there is nothing to say.
    pub(crate) fn maybe_raw(self, name: &str, json: Option<&str>) -> Self {
        match json {
            Some(json) => self.raw(name, json),
            None => self,
        }
    }

    pub(crate) fn maybe_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    pub(crate) fn maybe_flag(self, name: &str, flag: Option<bool>) -> Self {
        match flag {
            Some(flag) => self.flag(name, flag),
            None => self,
        }
    }

    pub(crate) fn maybe_count(self, name: &str, count: Option<u64>) -> Self {
        match count {
            Some(count) => self.count(name, count),
            None => self,
        }
    }

    /// A string or null.
    pub(crate) fn text_or_null(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.null(name),
        }
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Adds a member with a raw value to a printed object that has others.
pub(crate) fn amend(printed: &mut String, name: &str, json: &str) {
    printed.pop();
    printed.push_str(&format!(",{}:{json}}}", quote(name)));
}

/// An array of printed values.
pub(crate) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// An array of strings.
pub(crate) fn texts(items: &[String]) -> String {
    list(&items.iter().map(|item| quote(item)).collect::<Vec<_>>())
}

/// The same JSON on one line, as server-sent events need it. In JSON, line ends stand between values only.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}
