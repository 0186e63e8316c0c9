//! Lists of names that a key may use, such as `gpt-5-mini*`.

use std::cmp::Reverse;

/// The longest name of a model, in bytes.
const MAX_MODEL_LEN: usize = 256;

/// A name, or the start of names if it ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Pattern {
    /// Parses a pattern. Returns `None` if it is empty, or if it contains a `*` before its end.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let is_valid = !text.contains('*') && (is_prefix || !text.is_empty());
        if is_valid { Some(Self { text: text.to_owned(), is_prefix }) } else { None }
    }

    /// The pattern `*`, which matches every name.
    pub(crate) fn all() -> Self {
        Self { text: String::new(), is_prefix: true }
    }

    /// True if the name is that of the pattern, or starts with its prefix.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }

    /// True if the pattern matches each name that the other pattern matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_too_narrow = other.is_prefix && !self.is_prefix;
        !is_too_narrow && self.matches(&other.text)
    }

    /// The order in which patterns are tried: names before prefixes, and longer prefixes before shorter ones.
    pub(crate) fn rank(&self) -> (bool, Reverse<usize>) {
        (self.is_prefix, Reverse(self.text.len()))
    }
}

/// The names that are permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatternList {
    /// Every name.
    All,
    /// The names that match one of these patterns: no name if the list is empty.
    Only(Vec<Pattern>),
}

impl PatternList {
    /// True if the list contains the name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            PatternList::All => true,
            PatternList::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }

    /// True if a key with this list may call the model. A fine-tuned model `ft:…` must match a pattern that starts with `ft:`,
    /// because all fine-tuned models of the real key can be called.
    pub(crate) fn contains_model(&self, name: &str) -> bool {
        if !is_model_name(name) {
            return false;
        }
        if !starts_with_fine_tuned(name) {
            return self.contains(name);
        }
        match self {
            PatternList::All => false,
            PatternList::Only(patterns) => {
                let mut own = patterns.iter().filter(|pattern| starts_with_fine_tuned(&pattern.text));
                own.any(|pattern| pattern.matches(name))
            }
        }
    }
}

/// True if the name may be that of a model. Others could be read as a path or as several names behind the upstream.
fn is_model_name(name: &str) -> bool {
    let is_permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    let has_length = !name.is_empty() && name.len() <= MAX_MODEL_LEN;
    has_length && name.bytes().all(is_permitted) && !name.contains("..")
}

/// True if a model or pattern starts like the name of a fine-tuned model, in any case of letters.
fn starts_with_fine_tuned(text: &str) -> bool {
    text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ft:"))
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PatternList};

    #[test]
    fn pattern_with_a_star_matches_the_start_of_names() {
        let pattern = Pattern::parse("gpt-5-mini*").unwrap();
        assert!(pattern.matches("gpt-5-mini") && pattern.matches("gpt-5-mini-2025-08-07"));
        assert!(!pattern.matches("gpt-5") && !pattern.matches("my-gpt-5-mini"));
    }

    #[test]
    fn pattern_without_a_star_matches_one_name() {
        let pattern = Pattern::parse("gpt-5").unwrap();
        assert!(pattern.matches("gpt-5") && !pattern.matches("gpt-5-mini") && !pattern.matches("GPT-5"));
    }

    #[test]
    fn pattern_with_a_star_before_its_end_is_rejected() {
        for text in ["", "*-mini", "gpt-*-mini", "gpt**"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pattern_covers_the_patterns_whose_names_it_matches() {
        for (text, other, is_covered) in [
            ("*", "*", true),
            ("*", "gpt-5", true),
            ("gpt-5*", "gpt-5", true),
            ("gpt-5*", "gpt-5-mini*", true),
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5*", false),
            ("gpt-5-mini*", "gpt-5*", false),
            ("gpt-5*", "*", false),
            ("gpt-5*", "gpt-4", false),
        ] {
            let [pattern, other_pattern] = [text, other].map(|text| Pattern::parse(text).unwrap());
            assert_eq!(pattern.covers(&other_pattern), is_covered, "{text} {other}");
        }
    }

    #[test]
    fn model_with_other_characters_is_on_no_list() {
        let names =
            ["", "gpt 5", "gpt-5,o3", "gpt-5\n", "gpt-5\u{e9}", "gpt-5/../o3", "gpt-5?a", &"m".repeat(257)];
        for name in names {
            assert!(!PatternList::All.contains_model(name), "{name}");
        }
        assert!(PatternList::All.contains_model("openai/gpt-5_mini:a@b+1.0-x"));
        assert!(PatternList::All.contains_model(&"m".repeat(256)));
    }

    #[test]
    fn fine_tuned_model_needs_a_pattern_of_its_own() {
        let list = |text: &str| PatternList::Only(vec![Pattern::parse(text).unwrap()]);
        assert!(!PatternList::All.contains_model("ft:gpt-5:org::1"));
        assert!(!PatternList::All.contains_model("FT:gpt-5:org::1"));
        assert!(!list("*").contains_model("ft:gpt-5:org::1"));
        assert!(list("ft:gpt-5*").contains_model("ft:gpt-5:org::1"));
        assert!(!list("ft:gpt-5*").contains_model("ft:gpt-4:org::1"));
    }

    #[test]
    fn empty_list_contains_no_name() {
        assert!(PatternList::All.contains("gpt-5") && !PatternList::Only(Vec::new()).contains("gpt-5"));
    }
}
