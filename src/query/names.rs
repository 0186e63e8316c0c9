//! The filter by name: `api_key_names[]=checkout` becomes `api_key_ids[]=…`, with the ids of all keys of that name.
//!
//! The API knows ids only, and has to find one list of them, not two: they are written as the `api_key_ids` that
//! stand there already, and where none do, as the names were. All other pairs stay as they are.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Form, decode, equals, pairs, tokens};
use crate::KeyNames;

const NAMES: &str = "api_key_names";
/// Its letters, and those of its singular.
const LETTERS: [&str; 2] = ["apikeynames", "apikeyname"];
const IDS: &str = "api_key_ids";

/// Why names cannot become ids. The question must not go on without them: the API leaves out of account what it
/// does not know, and would answer for all keys.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Written as no list is, `api_key_names[x]`, or nearly this one: `API_KEY_NAMES`, `apiKeyNames`, `api_key_name`.
    Form,
    /// One of the names is empty.
    Empty,
    /// No key has this name.
    Unknown {
        name: String,
        /// The value that it stood in holds commas.
        commas: bool,
    },
    /// The query would be longer than there is room for.
    TooLong,
}

/// The query with ids for names, in at most `room` bytes; `None` where it asks for no name.
///
/// The ids stand where the first name stood, or behind those in a list with commas; each once, however often it is
/// asked for.
pub fn rewrite(query: &str, names: &KeyNames, room: usize) -> Result<Option<String>, Fault> {
    let mut asked = List::new(pairs(query).filter_map(Pair::asked));
    if asked.pairs.is_empty() {
        return Ok(None);
    }
    if asked.pairs.iter().any(|pair| pair.form == Form::Odd) {
        return Err(Fault::Form);
    }
    if names.ids(&text(asked.pairs[0].value)).next().is_some() {
        // Commas and all, it is a name.
        asked.comma = None;
    }
    let id_pair = |pair| Pair::of(pair, IDS).filter(|pair| pair.form != Form::Odd);
    let given = List::new(pairs(query).filter_map(id_pair));

    let ids = find(&asked, &given, names, room)?;
    let model = if given.pairs.is_empty() { &asked } else { &given };
    let mut new = match model.comma {
        None => in_pairs(&ids, model.pairs[0].form, &given),
        Some(comma) if given.pairs.is_empty() => vec![format!("{IDS}={}", ids.join(comma))],
        Some(_) => Vec::new(),
    };
    let mut written: Vec<Cow<'_, str>> = Vec::new();
    for pair in pairs(query) {
        match given.comma {
            _ if Pair::of(pair, NAMES).is_some() => written.extend(new.drain(..).map(Cow::from)),
            Some(comma) if id_pair(pair).is_some() => {
                written.push(ids.iter().fold(pair.to_owned(), |list, id| list + comma + id).into());
            }
            _ => written.push(pair.into()),
        }
    }
    let query = written.join("&");
    if query.len() <= room { Ok(Some(query)) } else { Err(Fault::TooLong) }
}

/// A pair that belongs to a list.
#[derive(Clone, Copy)]
struct Pair<'a> {
    form: Form<'a>,
    value: &'a str,
}

impl<'a> Pair<'a> {
    /// `None` where the pair is of another list. Without an equals sign its value is empty.
    fn of(pair: &'a str, list: &str) -> Option<Self> {
        let (parameter, value) = cut(pair);
        Some(Self { form: Form::of(parameter, list)?, value })
    }

    /// The same of names. What has their letters is odd: the API would leave it out of account.
    fn asked(pair: &'a str) -> Option<Self> {
        let odd = |(parameter, value)| has_letters(parameter).then_some(Self { form: Form::Odd, value });
        Self::of(pair, NAMES).or_else(|| odd(cut(pair)))
    }
}

/// Parameter and value.
fn cut(pair: &str) -> (&str, &str) {
    equals(pair).map_or((pair, ""), |at| (&pair[..at], &pair[at + 1..]))
}

/// Whether a parameter has the letters of `api_key_names`, or of its singular, with anything between them.
fn has_letters(parameter: &str) -> bool {
    let letters = || {
        let name = decode(parameter).take_while(|byte| *byte != b'[').map(|byte| byte.to_ascii_lowercase());
        name.filter(u8::is_ascii_alphanumeric)
    };
    LETTERS.iter().any(|nearly| letters().eq(nearly.bytes()))
}

/// A list as it stands in a query.
struct List<'a> {
    pairs: Vec<Pair<'a>>,
    /// What stands between its values, where all of them are in one pair. Only a pair that is alone and without
    /// brackets is cut at its commas: a name may hold some.
    comma: Option<&'a str>,
}

impl<'a> List<'a> {
    fn new(pairs: impl Iterator<Item = Pair<'a>>) -> Self {
        let pairs: Vec<_> = pairs.collect();
        let comma = match pairs[..] {
            [Pair { form: Form::Plain, value }] => comma(value),
            _ => None,
        };
        Self { pairs, comma }
    }

    fn values(&self) -> Vec<&'a str> {
        match self.comma {
            Some(_) => tokens(self.pairs[0].value).map(|token| token.text).collect(),
            None => self.pairs.iter().map(|pair| pair.value).collect(),
        }
    }
}

/// The ids of all keys that are asked for, percent-encoded, without those that are given.
fn find(asked: &List<'_>, given: &List<'_>, names: &KeyNames, room: usize) -> Result<Vec<String>, Fault> {
    let given: HashSet<String> = given.values().into_iter().map(text).collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut length = 0;
    for value in asked.values() {
        let name = text(value);
        if seen.contains(&name) {
            continue;
        }
        if name.is_empty() {
            return Err(Fault::Empty);
        }
        let mut ids = names.ids(&name).peekable();
        if ids.peek().is_none() {
            let commas = asked.comma.or_else(|| comma(value)).is_some();
            return Err(Fault::Unknown { name, commas });
        }
        for id in ids.filter(|id| !given.contains(*id)) {
            found.push(encode(id));
            // Any number of keys may share a name: no more are looked at than can fit.
            length += id.len();
            if length > room {
                return Err(Fault::TooLong);
            }
        }
        seen.insert(name);
    }
    Ok(found)
}

/// A pair for each of these ids. Where pairs are numbered, the numbers are the lowest that are free.
fn in_pairs(ids: &[String], form: Form<'_>, given: &List<'_>) -> Vec<String> {
    let taken = given.pairs.iter().filter_map(|pair| match pair.form {
        Form::Array { index, .. } => index,
        Form::Plain | Form::Odd => None,
    });
    let taken: HashSet<u64> = taken.collect();
    let free = (0..).filter(|number| !taken.contains(number));
    let pair = |(id, number): (&String, u64)| match form {
        Form::Array { open, index: Some(_), close } => format!("{IDS}{open}{number}{close}={id}"),
        Form::Array { open, index: None, close } => format!("{IDS}{open}{close}={id}"),
        Form::Plain | Form::Odd => format!("{IDS}={id}"),
    };
    ids.iter().zip(free).map(pair).collect()
}

/// The first comma of a list, as it was written.
fn comma(value: &str) -> Option<&str> {
    tokens(value).nth(1).map(|token| token.comma)
}

/// What a value says: `+` is a space, as forms write it.
fn text(value: &str) -> String {
    let words: Vec<Vec<u8>> = value.split('+').map(|word| decode(word).collect()).collect();
    String::from_utf8_lossy(&words.join(&b' ')).into_owned()
}

/// Percent-encodes all but the characters that never need it (RFC 3986 §2.3).
fn encode(id: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    id.bytes().fold(String::new(), |text, byte| match is_unreserved(byte) {
        true => text + char::from(byte).encode_utf8(&mut [0; 4]),
        false => text + &format!("%{byte:02X}"),
    })
}
