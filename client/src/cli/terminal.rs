//! Text of strangers on a terminal: colour for people, and no control over the terminal for sites.

use std::fmt::Write as _;
use std::io::IsTerminal;

/// Whether and how to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    coloured: bool,
}

impl Style {
    /// Colour only for a terminal that has it, and not where `NO_COLOR` (no-color.org) is set.
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            coloured: stream.is_terminal() && !set("NO_COLOR") && !dumb,
        }
    }

    #[cfg(test)]
    pub(super) const fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    pub(super) fn accent(self, text: &str) -> String {
        self.wrapped("36", text)
    }

    pub(super) fn white_on_black(self, text: &str) -> String {
        self.wrapped("97;40", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether a character could move the cursor, change colours or turn the reading direction.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{061c}' // direction marks
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') // embeddings and overrides
}

/// One line of a stranger's text: line breaks and tabs become spaces, other controls visible.
pub(super) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => shown.push(' '),
            other => push_visible(&mut shown, other),
        }
    }
    shown
}

/// A stranger's text of several lines, each indented so that none passes for our own.
pub(super) fn paragraph(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(|each| format!("{indent}{}", line(each)))
        .collect();
    lines.join("\n")
}

fn push_visible(shown: &mut String, character: char) {
    if is_control(character) {
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
    } else {
        shown.push(character);
    }
}

/// JSON that is safe to look at: in strings, the only place where they can be, controls that JSON
/// itself lets pass are written as escapes.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).expect("strings and numbers always serialise");
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // All of them are below U+10000: one escape each.
        if is_control(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Writes what a command makes, a line or more.
///
/// # Errors
/// Stdout cannot be written; a reader that went away, such as `head`, among others.
pub(super) fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("{text}\n").as_bytes())?;
    stdout.flush()
}

/// How many permissions, in words that fit.
pub(super) fn permissions(count: usize) -> String {
    match count {
        1 => "1 permission".to_owned(),
        count => format!("{count} permissions"),
    }
}

/// Asks the person, who has to say yes.
///
/// # Errors
/// Nobody is at the terminal to ask.
pub(super) fn ask(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("{question} Nobody is here to ask; give --yes");
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Says something to the person, beside what the command makes.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_are_made_visible() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check("\x1b[2J\x1b]0;owned\x07", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}");
        check("\u{9b}31m", "\\u{9b}31m");
        check("a\r\nb\tc", "a  b c");
        check("\u{202e}gnp.exe", "\\u{202e}gnp.exe");
        check("Grüße 👋 日本", "Grüße 👋 日本");
        assert_eq!(paragraph("a\nb\x08", "  "), "  a\n  b\\u{8}");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        assert_eq!(Style::new(true).bold("x"), "\x1b[1mx\x1b[0m");
        assert_eq!(Style::new(false).bold("x"), "x");
    }

    proptest! {
        #[test]
        fn nothing_shown_controls_a_terminal(text in "[\\x00-\\u{9f}\\u{200e}-\\u{2069}a-z\\\\\"]{0,60}") {
            let controls = |shown: &str| shown.chars().any(is_control);
            prop_assert!(!controls(&line(&text)));
            prop_assert!(!controls(&paragraph(&text, "  ").replace('\n', "")));
            let shown = json(&text);
            prop_assert!(!controls(&shown));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
