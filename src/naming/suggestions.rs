//! Names that are similar to an unknown one.

use std::collections::BTreeSet;
use std::mem;

const MAX_SUGGESTIONS: usize = 3;

/// The longest name that is compared, in characters. The cost of a comparison is the product of both lengths.
const MAX_COMPARED: usize = 64;

/// Returns the names that differ in a third of the characters at most, or contain the requested one, without regard to
/// case. The most similar name comes first.
pub(crate) fn similar_names<'a>(requested: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let requested = requested.to_lowercase();
    let characters: Vec<char> = requested.chars().collect();
    if characters.len() > MAX_COMPARED {
        return Vec::new();
    }
    let max_distance = (characters.len() / 3).max(1);
    // Sorted by distance. Several ids may have one name, so duplicates are removed.
    let mut similar = BTreeSet::new();
    for name in names {
        let lowercase = name.to_lowercase();
        // The distance is at least the difference of the lengths, which is faster to compute.
        let mut distance = lowercase.chars().count().abs_diff(characters.len());
        if distance <= max_distance {
            distance = edit_distance(&characters, &lowercase);
        }
        if distance <= max_distance {
            similar.insert((distance, name));
        } else if characters.len() > 2 && lowercase.contains(&requested) {
            similar.insert((usize::MAX, name));
        }
    }
    similar.into_iter().map(|(_, name)| name).take(MAX_SUGGESTIONS).collect()
}

/// Returns the number of inserted, removed, replaced and swapped characters ("optimal string alignment").
/// A row has the distances from the first `i` characters of `from` to each prefix of `to`.
fn edit_distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row_before = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, from_char) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, to_char) in to.iter().enumerate() {
            let replaced = row[j] + usize::from(from_char != to_char);
            let mut distance = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            let is_swapped = i > 0 && j > 0 && *from_char == to[j - 1] && from[i - 1] == *to_char;
            if is_swapped {
                distance = distance.min(row_before[j - 1] + 1);
            }
            next.push(distance);
        }
        row_before = mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_sorted_by_distance() {
        let names =
            ["checkout-production", "checkout-production", "Billing", "billings", "bulling", "Zürich"];
        for (requested, expected) in [
            ("billing", &["Billing", "billings", "bulling"][..]),
            ("bilings", &["billings", "Billing"]),
            ("checkout", &["checkout-production"]),
            ("CHECKOUT-PRODUCTOIN", &["checkout-production"]),
            ("zürch", &["Zürich"]),
            ("search", &[]),
            ("c", &[]),
            ("xx", &[]),
            (" ", &[]),
            (&"billing".repeat(40), &[]),
        ] {
            assert_eq!(similar_names(requested, names.into_iter()), expected, "{requested}");
        }
    }

    #[test]
    fn edit_distance_counts_swapped_characters_once() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("abcd", "abdc", 1),
            ("kitten", "sitting", 3),
            ("ü", "u", 1),
        ] {
            assert_eq!(edit_distance(&from.chars().collect::<Vec<_>>(), to), expected, "{from} {to}");
        }
    }
}
