//! Search by parts of words: case and accents folded, and all words must occur.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Words of a search. A statement has a place for each; nobody narrows a list by more.
pub const SEARCH_WORDS_MAX: usize = 4;

/// A text as it is searched.
pub fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|letter| !is_combining_mark(*letter));
    plain.flat_map(char::to_lowercase).collect()
}

/// What is searched for. Nothing is found in everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words([String; SEARCH_WORDS_MAX]);

impl Words {
    /// Of what somebody typed; `None` for more words than are searched for.
    pub fn of(text: &str) -> Option<Self> {
        let mut words = Self::default();
        let folded = fold(text);
        for (at, word) in folded.split_whitespace().enumerate() {
            word.clone_into(words.0.get_mut(at)?);
        }
        Some(words)
    }

    /// Whether all occur in a folded text.
    pub fn occur_in(&self, folded: &str) -> bool {
        self.0.iter().all(|word| folded.contains(word.as_str()))
    }

    /// One pattern a word for `LIKE … ESCAPE '\'`.
    pub(super) fn patterns(&self) -> [String; SEARCH_WORDS_MAX] {
        self.0.each_ref().map(|word| format!("%{}%", escaped(word)))
    }
}

/// What stands for itself in a pattern.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case_and_without_their_accents() {
        for (text, search, found) in [
            ("Zoë Å from https://news.example", "zoe", true),
            ("Zoë Å from https://news.example", "NEWS zo", true),
            ("Zoë Å from https://news.example", "news zoo", false),
            ("ada", "", true),
            ("ada", "ADÄ", true),
            ("50%", "50%", true),
            ("50 percent", "50%", false),
        ] {
            let words = Words::of(search).expect("few words");
            assert_eq!(words.occur_in(&fold(text)), found, "{search:?} in {text:?}");
        }
        assert_eq!(Words::of("a b c d e"), None);
        assert_eq!(Words::of("a_%").expect("one").patterns()[0], "%a\\_\\%%");
    }
}
