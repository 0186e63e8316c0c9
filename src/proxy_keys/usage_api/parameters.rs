//! The parameters of a query, with errors for the client.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoint::UsageEndpoint;
use super::page_cursor::MAX_SECOND;
use crate::proxy_keys::gate::{Refusal, RefusalKind, quote, shorten};
use crate::query::{QueryParameter, UnknownParameter, parse_parameters};

/// The parameters of one query by their names. All of them are parameters of the endpoint.
pub(super) struct UsageParameters<'a> {
    by_name: BTreeMap<&'static str, QueryParameter<'a>>,
}

impl<'a> UsageParameters<'a> {
    /// Parses a query. Returns a refusal if it has a parameter that the endpoint does not accept: the response would be that of
    /// a wider query.
    pub(super) fn parse(endpoint: UsageEndpoint, query: &'a str) -> Result<Self, Refusal> {
        let known = endpoint.parameters();
        match parse_parameters(query, &known) {
            Ok(by_name) => Ok(Self { by_name }),
            Err(UnknownParameter { name }) => {
                let known = known.join(", ");
                let message = format!(
                    "The parameter {} is not supported. This endpoint accepts {known}. Lists have the form a=1&a=2, a[]=1, a[0]=1 or a=1,2.",
                    quote(&name)
                );
                Err(Refusal::new(RefusalKind::InvalidRequest, message).about(shorten(&name)))
            }
        }
    }

    /// Returns the value of a parameter that is no list, or `None` if the query does not contain it. Returns a refusal if it
    /// occurs twice or in brackets.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        let Some(parameter) = self.by_name.get(name) else { return Ok(None) };
        match parameter.single_value() {
            Some(text) => Ok(Some(text)),
            None => Err(refuse_value(name, "must occur once, without brackets")),
        }
    }

    /// Returns the whole number of a parameter in this range, or `None` if the query does not contain it.
    fn integer(&self, name: &'static str, min: i64, max: i64) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(refuse_value(name, &format!("must be a whole number from {min} to {max}"))),
        }
    }

    /// Returns the seconds since 1970 of a time, or `None` if the query does not contain it.
    pub(super) fn second(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.integer(name, 0, MAX_SECOND - 86_400)
    }

    /// Returns the number of buckets in a page.
    pub(super) fn limit(&self, default: i64, max: i64) -> Result<i64, Refusal> {
        Ok(self.integer("limit", 1, max)?.unwrap_or(default))
    }

    /// Returns the values of a filter, or `None` if the query does not contain it.
    pub(super) fn list(&self, name: &'static str) -> Option<BTreeSet<String>> {
        Some(self.by_name.get(name)?.filter_values().into_iter().collect())
    }

    /// Returns the values of a filter whose values may contain commas, or `None` if the query does not contain it.
    pub(super) fn list_of_unsplit_values(&self, name: &'static str) -> Option<BTreeSet<String>> {
        Some(self.by_name.get(name)?.unsplit_values().into_iter().collect())
    }

    /// Returns the dimensions of `group_by`, each of which may occur several times.
    pub(super) fn dimensions(&self) -> Vec<String> {
        match self.by_name.get("group_by") {
            Some(parameter) => parameter.comma_separated_values(),
            None => Vec::new(),
        }
    }
}

/// Returns the refusal of a parameter whose value is not accepted. `rule` completes a sentence that begins with its name.
pub(super) fn refuse_value(name: &'static str, rule: &str) -> Refusal {
    let message = format!("The parameter {name} {rule}.");
    Refusal::new(RefusalKind::InvalidValue, message).about(name)
}
