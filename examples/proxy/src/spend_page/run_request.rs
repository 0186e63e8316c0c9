//! The parameters of a run: the query and the keys in the body of its request.
use jiff::civil::Date;
use serde::Deserialize;
use tower_api_key_name::directory::AdminKey;
use tower_api_key_name::names::Provider;

use crate::by_provider::ByProvider;
use crate::spend::{DayRange, Dimension, Every, SpendQuery, periods};

/// The most days of a run. The result has an amount for each day.
const MAX_DAYS: u64 = 3 * 366;

/// The text of the ledger of proxy keys in place of a provider.
const LEDGER: &str = "ledger";

/// The parameters of a run.
pub(super) struct RunRequest {
    /// The query by day. For a FOCUS file, it has more dimensions than `by`.
    pub query: SpendQuery,
    /// The dimensions of the result.
    pub by: Vec<Dimension>,
    /// True if the result contains a FOCUS file.
    pub wants_focus_file: bool,
    pub credentials: RunCredentials,
}

/// The credentials that the user has entered.
pub(super) enum RunCredentials {
    /// The admin key of each selected provider.
    AdminKeys(ByProvider<Option<AdminKey>>),
    /// The operator token, for the ledger of proxy keys. It is not checked yet.
    OperatorToken(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunMembers {
    from: String,
    to: String,
    by: Vec<String>,
    providers: Vec<String>,
    keys: KeyMembers,
    #[serde(default)]
    focus: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyMembers {
    openai: Option<String>,
    anthropic: Option<String>,
    ledger: Option<String>,
}

impl RunRequest {
    /// Parses a body. An error is a sentence for the user, without any text of the body, because that contains keys.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let members = parse_members(body)?;
        let days = DayRange { first: parse_day("from", &members.from)?, last: parse_day("to", &members.to)? };
        let by = parse_dimensions(&members.by)?;
        let is_of_ledger = members.providers == [LEDGER];
        let mut query = if is_of_ledger {
            SpendQuery::of_ledger(days, Every::Day, by.clone()).map_err(into_sentence)?
        } else {
            let providers = parse_providers(&members.providers)?;
            SpendQuery::new(days, Every::Day, by.clone(), providers).map_err(into_sentence)?
        };
        if days.count() > MAX_DAYS {
            return Err(format!("The range has more than {MAX_DAYS} days."));
        }
        if members.focus {
            query.dimensions = add_focus_dimensions(&by);
        }
        let credentials = if is_of_ledger {
            RunCredentials::OperatorToken(parse_token(members.keys)?)
        } else {
            RunCredentials::AdminKeys(parse_keys(members.keys, &query.providers)?)
        };
        Ok(Self { query, by, wants_focus_file: members.focus, credentials })
    }
}

/// Returns the dimensions of a FOCUS file, and those of `by` that the file lacks.
fn add_focus_dimensions(by: &[Dimension]) -> Vec<Dimension> {
    let mut dimensions = Dimension::FOCUS.to_vec();
    for dimension in by {
        if !dimensions.contains(dimension) {
            dimensions.push(*dimension);
        }
    }
    dimensions
}

/// Parses the members of a body. An error has the position, without any text of the body.
fn parse_members(body: &[u8]) -> Result<RunMembers, String> {
    serde_json::from_slice(body).map_err(|e| {
        format!(
            "The body is not valid at line {}, column {}. It is an object with the members from, to, by, providers, keys \
             (openai, anthropic, ledger) and focus, and no others.",
            e.line(),
            e.column(),
        )
    })
}

fn parse_day(member: &str, text: &str) -> Result<Date, String> {
    match periods::parse_day(text) {
        Some(day) if (2020..2100).contains(&day.year()) => Ok(day),
        _ => Err(format!("The member {member} is not a date from 2020-01-01 to 2099-12-31.")),
    }
}

/// Parses the names of dimensions. An error lists the valid names.
fn parse_dimensions(texts: &[String]) -> Result<Vec<Dimension>, String> {
    let mut dimensions = Vec::new();
    for text in texts {
        let Some(dimension) = Dimension::from_name(text) else {
            let names = Dimension::SELECTABLE.map(Dimension::name).join(", ");
            return Err(format!("The member by contains an unknown dimension. Select from {names}."));
        };
        dimensions.push(dimension);
    }
    Ok(dimensions)
}

/// Parses the names of providers. Fails if there is none, if one occurs twice, or if the ledger is one of several.
fn parse_providers(texts: &[String]) -> Result<Vec<Provider>, String> {
    let mut providers = Vec::new();
    for text in texts {
        let provider = match text.as_str() {
            "openai" => Provider::OpenAi,
            "anthropic" => Provider::Anthropic,
            LEDGER => return Err("The ledger is not combined with other providers.".into()),
            _ => {
                return Err(
                    "The member providers contains an unknown provider. Select openai, anthropic or ledger."
                        .into(),
                );
            }
        };
        if providers.contains(&provider) {
            return Err("The member providers contains a provider twice.".into());
        }
        providers.push(provider);
    }
    if providers.is_empty() {
        return Err("The member providers is empty. Select openai, anthropic or ledger.".into());
    }
    Ok(providers)
}

/// Returns the operator token. Fails if it is absent.
fn parse_token(members: KeyMembers) -> Result<String, String> {
    match members.ledger {
        Some(token) => Ok(token),
        None => Err("The operator token is missing (member keys.ledger).".into()),
    }
}

/// Parses the keys of these providers. Fails if one is absent or invalid. A key of another provider is dropped.
fn parse_keys(members: KeyMembers, providers: &[Provider]) -> Result<ByProvider<Option<AdminKey>>, String> {
    let mut texts = ByProvider { openai: members.openai, anthropic: members.anthropic };
    ByProvider::try_new(|provider| {
        if !providers.contains(&provider) {
            return Ok(None);
        }
        let key = parse_key(provider, texts.get_mut(provider).take())?;
        Ok(Some(key))
    })
}

/// Parses the key of a provider. Fails if the key is absent or cannot be sent in a header.
fn parse_key(provider: Provider, text: Option<String>) -> Result<AdminKey, String> {
    let name = provider.as_str();
    let Some(text) = text else {
        return Err(format!("The admin key for {name} is missing (member keys.{name})."));
    };
    AdminKey::new(text).map_err(|e| format!("The key for {name} is {e}."))
}

/// Returns the text of an error as a sentence, with an upper-case letter and a full stop.
fn into_sentence(error: impl ToString) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = r#"{"from":"2026-11-01","to":"2026-11-30","by":["api_key_name"],"providers":["openai"],"keys":{"openai":"sk-secret"},"focus":false}"#;

    fn error_with(from: &str, to: &str) -> String {
        match RunRequest::parse(VALID.replace(from, to).as_bytes()) {
            Ok(_) => panic!("{to} is accepted"),
            Err(message) => message,
        }
    }

    #[test]
    fn body_with_all_members_is_a_query_by_day() {
        let request = RunRequest::parse(VALID.as_bytes()).unwrap();
        assert_eq!((request.query.every, request.query.days.count()), (Every::Day, 30));
        assert_eq!(request.query.dimensions, [Dimension::KeyName]);
        let RunCredentials::AdminKeys(keys) = request.credentials else { panic!("there is no admin key") };
        assert!(keys.openai.is_some() && keys.anthropic.is_none());
    }

    #[test]
    fn focus_adds_its_dimensions_to_the_query_and_not_to_the_result() {
        let body = VALID.replace(r#"focus":false"#, r#"focus":true"#).replace("api_key_name", "user_name");
        let request = RunRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.by, [Dimension::UserName]);
        assert_eq!(request.query.dimensions, [&Dimension::FOCUS[..], &[Dimension::UserName]].concat());
    }

    #[test]
    fn error_names_the_member_and_has_no_text_of_the_body() {
        for (from, to, part) in [
            ("2026-11-01", "sk-secret", "member from"),
            ("2026-11-30", "2026-10-30", "first day is after the last day"),
            ("2026-11-01", "2020-11-01", "more than 1098 days"),
            (r#"["api_key_name"]"#, "[]", "one to three"),
            ("api_key_name", "sk-secret", "unknown dimension"),
            ("api_key_name", "model", "no costs by model"),
            (r#"["openai"]"#, "[]", "providers is empty"),
            (r#"["openai"]"#, r#"["sk-secret"]"#, "Select openai, anthropic or ledger"),
            (r#"["openai"]"#, r#"["openai","ledger"]"#, "not combined"),
            (r#"["openai"]"#, r#"["ledger"]"#, "keys.ledger"),
            (r#"["openai"]"#, r#"["openai","openai"]"#, "twice"),
            (r#"["openai"]"#, r#"["openai","anthropic"]"#, "keys.anthropic"),
            (r#""sk-secret""#, r#""sk secret""#, "The key for openai"),
            (r#""focus":false"#, r#""sk-secret":1"#, "and no others"),
            (r#""focus":false"#, r#""focus":"sk-secret""#, "line 1, column"),
        ] {
            let message = error_with(from, to);
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("secret") && message.ends_with('.'), "{message}");
        }
    }
}
