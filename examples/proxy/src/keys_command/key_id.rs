//! The id of a key without `--id`.

/// The most characters of a derived id before its number.
const MAX_LEN: usize = 64;

/// Returns `key_` and the words of a name in lower case, joined with `_`, such as `key_st_marys_tutor`.
///
/// A word consists of ASCII letters and digits. Apostrophes and non-ASCII letters are omitted, and every other character
/// separates two words. If the id is taken, `_2` or the next free number follows. If no word is left, the id is `key_1` or the
/// next free number.
pub(super) fn derive(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut id = "key".to_owned();
    let mut is_word_start = true;
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            if is_word_start {
                id.push('_');
            }
            id.push(character.to_ascii_lowercase());
            is_word_start = false;
            continue;
        }
        let is_part_of_word = character.is_alphanumeric() || matches!(character, '\'' | '’');
        if !is_part_of_word {
            is_word_start = true;
        }
    }
    // The id is ASCII text.
    id.truncate(MAX_LEN);
    let has_words = id.len() > "key".len();
    if has_words && !is_taken(&id) {
        return id;
    }
    let mut number = if has_words { 2 } else { 1 };
    loop {
        let numbered_id = format!("{id}_{number}");
        if !is_taken(&numbered_id) {
            return numbered_id;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn id_consists_of_the_words_of_the_name() {
        for (name, id) in [
            ("St Mary's, tutor", "key_st_marys_tutor"),
            ("St Mary’s — Tutor 2", "key_st_marys_tutor_2"),
            ("Café/Zürich", "key_caf_zrich"),
            ("--checkout--", "key_checkout"),
            ("日本語", "key_1"),
            ("", "key_1"),
        ] {
            assert_eq!(derive(name, |_| false), id, "{name}");
        }
        assert_eq!(derive(&"a".repeat(300), |_| false).len(), 64);
    }

    #[test]
    fn id_of_another_key_is_followed_by_the_next_free_number() {
        assert_eq!(derive("Tutor", |id| id == "key_tutor"), "key_tutor_2");
        assert_eq!(derive("Tutor", |id| id == "key_tutor" || id == "key_tutor_2"), "key_tutor_3");
        assert_eq!(derive("日本語", |id| id == "key_1"), "key_2");
    }
}
