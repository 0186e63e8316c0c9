//! The list of models, without those that a proxy key may not call.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::proxy_keys::keys::PatternList;

/// The list of models of both providers. Other members keep their bytes.
#[derive(Deserialize)]
struct ModelList<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    /// The cursors of Anthropic's pages.
    #[serde(borrow, default)]
    first_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    last_id: Option<&'a RawValue>,
}

/// An element of the list.
#[derive(Deserialize)]
struct ModelEntry<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

/// Removes the models that are not on the list of a key from a list of models. Returns `None` if the body is no list of models.
///
/// If a model is removed, `first_id` and `last_id` become those of the models that stay, or null. All other bytes stay, except
/// the white space between models.
pub(in super::super) fn filter_models(body: &Bytes, permitted: &PatternList) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let list: ModelList<'_> = serde_json::from_str(text).ok()?;
    let models: Vec<&RawValue> = serde_json::from_str(list.data.get()).ok()?;
    let mut kept_models = Vec::new();
    let mut kept_ids = Vec::new();
    for model in &models {
        if let Some(id) = permitted_id(model, permitted) {
            kept_models.push(model.get());
            kept_ids.push(id);
        }
    }
    if kept_models.len() == models.len() {
        return Some(body.clone());
    }
    let kept_data = format!("[{}]", kept_models.join(","));
    let mut edits = vec![(list.data.get(), &*kept_data)];
    if let Some(first_id) = list.first_id {
        edits.push((first_id.get(), kept_ids.first().unwrap_or(&"null")));
    }
    if let Some(last_id) = list.last_id {
        edits.push((last_id.get(), kept_ids.last().unwrap_or(&"null")));
    }
    Some(Bytes::from(replace_parts(text, edits)))
}

/// Returns the id of a model as JSON if the key may call the model. Returns `None` for an element without an id.
fn permitted_id<'a>(model: &'a RawValue, permitted: &PatternList) -> Option<&'a str> {
    let entry: ModelEntry<'_> = serde_json::from_str(model.get()).ok()?;
    let id: Cow<'_, str> = serde_json::from_str(entry.id.get()).ok()?;
    if permitted.contains_model(&id) { Some(entry.id.get()) } else { None }
}

/// Returns the text with replaced parts. Each edit is a part of the text, and its replacement.
fn replace_parts(text: &str, mut edits: Vec<(&str, &str)>) -> String {
    let offset = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();
    edits.sort_by_key(|(part, _)| offset(part));
    let mut replaced = String::new();
    let mut copied_len = 0;
    for (part, replacement) in edits {
        replaced.push_str(&text[copied_len..offset(part)]);
        replaced.push_str(replacement);
        copied_len = offset(part) + part.len();
    }
    replaced.push_str(&text[copied_len..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_keys::keys::Pattern;

    fn filter(body: &str, patterns: &[&str]) -> Option<String> {
        let patterns = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let filtered = filter_models(&Bytes::copy_from_slice(body.as_bytes()), &PatternList::Only(patterns))?;
        Some(String::from_utf8(filtered.to_vec()).unwrap())
    }

    #[test]
    fn models_that_the_key_may_not_call_are_removed() {
        let body = r#"{ "object":"list", "data" : [ {"id":"gpt-5", "x":1.0} , {"id":"gpt-5-mini"},{"id":"o3"}, {"id": "gpt\u002d5"} ], "has_more":false }"#;
        assert_eq!(
            filter(body, &["gpt-5"]).unwrap(),
            r#"{ "object":"list", "data" : [{"id":"gpt-5", "x":1.0},{"id": "gpt\u002d5"}], "has_more":false }"#
        );
        assert_eq!(filter(body, &[]).unwrap(), r#"{ "object":"list", "data" : [], "has_more":false }"#);
    }

    #[test]
    fn first_and_last_id_are_those_of_the_models_that_stay() {
        let body =
            r#"{"first_id": "a","data":[{"id":"a"},{"id":"b\u0031"},{"id":"b2"},{"id":"c"}],"last_id":"c"}"#;
        assert_eq!(
            filter(body, &["b*"]).unwrap(),
            r#"{"first_id": "b\u0031","data":[{"id":"b\u0031"},{"id":"b2"}],"last_id":"b2"}"#
        );
        assert_eq!(filter(body, &["x"]).unwrap(), r#"{"first_id": null,"data":[],"last_id":null}"#);
        assert_eq!(filter(body, &["a*", "b*", "c"]).unwrap(), body);
    }

    #[test]
    fn list_of_permitted_models_is_unchanged() {
        let body = r#"{"data": [ {"id":"gpt-5"} , {"id":"gpt-5-mini"} ] } "#;
        assert_eq!(filter(body, &["gpt-5*"]).unwrap(), body);
    }

    #[test]
    fn element_without_an_id_is_removed() {
        assert_eq!(
            filter(r#"{"data":[1,{"id":2},{},{"id":"a"}]}"#, &["*"]).unwrap(),
            r#"{"data":[{"id":"a"}]}"#
        );
    }

    #[test]
    fn body_that_is_no_list_is_rejected() {
        for body in
            ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[],"data":[]}"#, r#"{"data":[]"#, "\u{feff}{}"]
        {
            assert_eq!(filter(body, &["*"]), None, "{body}");
        }
        assert_eq!(filter_models(&Bytes::from_static(b"{\"data\":[\"\xff\"]}"), &PatternList::All), None);
    }
}
