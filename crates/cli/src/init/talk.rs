//! Questions on a terminal, and what happens where nobody can be asked.

use std::io::{BufRead, Write};

use anyhow::bail;

/// Whom to ask. Without `asks` nothing is asked, and defaults are taken.
pub(super) struct Talk<'a> {
    pub(super) input: &'a mut dyn BufRead,
    pub(super) out: &'a mut dyn Write,
    pub(super) asks: bool,
}

/// A question, and how to answer it without being asked.
pub(super) struct Question<'a, T> {
    /// Without the mark at its end.
    pub(super) text: String,
    /// The flag that says the same.
    pub(super) flag: &'a str,
    /// What an empty answer stands for, and how it is shown.
    pub(super) default: Option<(T, String)>,
}

// === impl Talk ===

impl Talk<'_> {
    /// A line for whoever watches.
    pub(super) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Asks until `read` takes the answer; what it says against one is shown.
    ///
    /// # Errors
    /// The end of input; or, where nothing is asked, that there is no default.
    pub(super) fn ask<T>(
        &mut self,
        question: Question<'_, T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let Question { text, flag, default } = question;
        let (mut default, shown) = default.map_or((None, String::new()), |(value, shown)| (Some(value), shown));
        if !self.asks {
            let Some(value) = default else { bail!("nobody is asked here: say {flag}") };
            return Ok(value);
        }
        let shown = if shown.is_empty() { shown } else { format!(" [{shown}]") };
        loop {
            write!(self.out, "{text}{shown}: ")?;
            self.out.flush()?;
            let mut line = Vec::new();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                self.say("")?;
                bail!("the input has ended before all was answered: nothing is written");
            }
            let Ok(line) = str::from_utf8(&line) else {
                self.say("  that is no UTF-8: see what your terminal sends")?;
                continue;
            };
            let answer = line.trim();
            if answer.is_empty()
                && let Some(value) = default.take()
            {
                return Ok(value);
            }
            match read(answer) {
                Ok(value) => return Ok(value),
                Err(what) => self.say(&format!("  {what}"))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a question for a number, and all that was shown.
    fn asked(input: impl AsRef<[u8]>, default: Option<u8>, asks: bool) -> (Result<u8, String>, String) {
        let (mut input, mut out) = (input.as_ref(), Vec::new());
        let question = Question {
            text: "How many".to_owned(),
            flag: "--many N",
            default: default.map(|value| (value, value.to_string())),
        };
        let mut talk = Talk { input: &mut input, out: &mut out, asks };
        let answer =
            talk.ask(question, |word| word.parse().map_err(|_| format!("{word:?} is no number from 0 to 255")));
        (answer.map_err(|error| error.to_string()), String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_not_taken_is_asked_again() {
        let (answer, shown) = asked("many\n300\n 7 \n", None, true);
        assert_eq!(answer, Ok(7));
        let expected = "How many:   \"many\" is no number from 0 to 255\nHow many:   \"300\" is no number from 0 to 255\nHow many: ";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_utf8_is_asked_again() {
        let (answer, shown) = asked(b"\xff\xfe\n7\n", None, true);
        assert_eq!(answer, Ok(7));
        assert_eq!(shown, "How many:   that is no UTF-8: see what your terminal sends\nHow many: ");
    }

    #[test]
    fn an_empty_answer_is_the_default_if_there_is_one() {
        assert_eq!(asked("\n", Some(3), true), (Ok(3), "How many [3]: ".to_owned()));
        assert_eq!(asked("\n5", None, true).0, Ok(5), "and asked again if there is none");
    }

    #[test]
    fn the_end_of_input_is_an_error() {
        for input in ["", "many\n"] {
            let (answer, _) = asked(input, Some(3), true);
            assert_eq!(answer, Err("the input has ended before all was answered: nothing is written".to_owned()));
        }
    }

    #[test]
    fn where_nothing_is_asked_the_default_counts_or_the_flag_is_named() {
        assert_eq!(asked("9\n", Some(3), false), (Ok(3), String::new()));
        let (answer, shown) = asked("9\n", None, false);
        assert_eq!((answer, &*shown), (Err("nobody is asked here: say --many N".to_owned()), ""));
    }
}
