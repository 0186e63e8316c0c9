//! The width of text on a terminal: measuring, shortening, wrapping, and escaping of invisible characters.
use unicode_width::UnicodeWidthChar;

/// The most characters of a shortened text for each column. Otherwise a name with many combining marks would stay long.
const MAX_CHARS_PER_COLUMN: usize = 4;

/// Returns the text with an escape for each character that is invisible or controls the terminal or the direction.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            escaped.extend(character.escape_debug());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// True for control characters and for most format characters, but not for the joiners of emoji and of Persian.
fn is_invisible(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    is_format || character.is_control()
}

/// Returns the largest number of columns that a terminal uses for a text. Some terminals join several emoji to one.
pub fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

fn character_width(character: char) -> usize {
    // The emoji variation selector U+FE0F can widen the character before it by one column.
    if character == '\u{fe0f}' { 1 } else { character.width().unwrap_or_default() }
}

/// Shortens a text that is wider than `limit` in its middle, because long names often differ at the end.
pub fn shorten(text: &str, limit: usize) -> String {
    let fits = width(text) <= limit && text.chars().count() <= limit * MAX_CHARS_PER_COLUMN;
    if fits {
        return text.to_owned();
    }
    let end_limit = limit / 3;
    // One column is for the ellipsis.
    let start_limit = limit.saturating_sub(end_limit + 1);
    let start = take_columns(text.chars(), start_limit);
    let reversed_end = take_columns(text.chars().rev(), end_limit);
    let end: String = reversed_end.chars().rev().collect();
    format!("{start}…{end}")
}

/// Returns the first characters that fit into `limit` columns.
fn take_columns(characters: impl Iterator<Item = char>, limit: usize) -> String {
    let mut columns = 0;
    let mut taken = String::new();
    for character in characters.take(limit * MAX_CHARS_PER_COLUMN) {
        columns += character_width(character);
        if columns > limit {
            break;
        }
        taken.push(character);
    }
    taken
}

/// Pads a text with spaces on the right.
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = " ".repeat(columns.saturating_sub(width(text)));
    format!("{text}{spaces}")
}

/// Splits a text at its white space into lines of `limit` columns at most. Longer words are shortened.
pub fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let shown = shorten(&escape(word), limit);
        if !line.is_empty() && width(&line) + 1 + width(&shown) > limit {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&shown);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn invisible_characters_are_escaped() {
        for (text, escaped) in [
            ("a\nb\t\u{1b}[31m", r"a\nb\t\u{1b}[31m"),
            ("abc\u{202e}def\u{2066}", r"abc\u{202e}def\u{2066}"),
            ("\u{feff}\u{200b}\u{9b}", r"\u{feff}\u{200b}\u{9b}"),
            ("e\u{301} 👩\u{200d}💻 'x' \"y\" \\", "e\u{301} 👩\u{200d}💻 'x' \"y\" \\"),
        ] {
            assert_eq!(escape(text), escaped);
        }
    }

    #[test]
    fn long_texts_are_shortened_in_the_middle_to_the_limit() {
        let emoji = "👩\u{200d}💻❤\u{fe0f}".repeat(20);
        let combining = format!("a{}", "\u{301}".repeat(100_000));
        for text in ["checkout-production-eu-1", "日本語日本語日本語日本語", &emoji, &combining] {
            let shortened = shorten(text, 12);
            assert!(shortened.width() <= 12 && width(&shortened) <= 12, "{shortened}");
            assert!(shortened.chars().count() < 60, "{shortened}");
            assert!(shortened.contains('…'), "{shortened}");
        }
        assert_eq!(shorten("checkout-production-eu-1", 12), "checkou…eu-1");
        assert_eq!(shorten("日本語", 6), "日本語");
    }

    #[test]
    fn wrapped_lines_contain_each_word() {
        assert_eq!(wrap("one two\nthree four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9), [""]);
    }
}
