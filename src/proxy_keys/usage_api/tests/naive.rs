//! The buckets of a response, calculated a second time: from all calls, with `Value`s.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{COSTS, KEYS, TestCall, group_of};

/// A query with its caller.
#[derive(Clone, Debug)]
pub(super) struct NaiveQuery {
    pub(super) caller: &'static str,
    pub(super) path: &'static str,
    /// The length of a bucket, in seconds.
    pub(super) width: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) group_by: Vec<&'static str>,
    /// A filter and its values.
    pub(super) filters: Vec<(&'static str, Vec<&'static str>)>,
}

impl NaiveQuery {
    /// Returns the target of the request, without `limit` and `page`.
    pub(super) fn target(&self) -> String {
        let width = match self.width {
            60 => "1m",
            3_600 => "1h",
            _ => "1d",
        };
        let (start, end) = (self.start, self.end);
        let mut target = format!("{}?start_time={start}&end_time={end}&bucket_width={width}", self.path);
        for dimension in &self.group_by {
            target += &format!("&group_by[]={dimension}");
        }
        for (filter, values) in &self.filters {
            for value in values {
                target += &format!("&{filter}[]={}", value.replace(' ', "%20"));
            }
        }
        target
    }

    /// Returns the buckets of all pages. Each amount is the text of its dollars.
    pub(super) fn buckets(&self, calls: &[TestCall]) -> Vec<Value> {
        let mut buckets = Vec::new();
        let mut start = self.start - self.start % self.width;
        while start < self.end {
            let end = start + self.width;
            let results = self.results(calls.iter().filter(|call| start <= call.at && call.at < end));
            buckets
                .push(json!({"object": "bucket", "start_time": start, "end_time": end, "results": results}));
            start = end;
        }
        buckets
    }

    /// Returns the results of the calls in one bucket.
    fn results<'a>(&self, calls: impl Iterator<Item = &'a TestCall>) -> Vec<Value> {
        let mut results: BTreeMap<Vec<Option<String>>, Map<String, Value>> = BTreeMap::new();
        for call in calls.filter(|call| self.selects(call)) {
            let dimensions = self.dimensions(call);
            let key = dimensions.iter().map(|(_, value)| value.as_str().map(str::to_owned)).collect();
            let result = results.entry(key).or_insert_with(|| {
                dimensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            });
            add_numbers(result, &self.numbers(call));
        }
        let mut finished = Vec::new();
        for mut result in results.into_values() {
            result.insert("object".to_owned(), self.object().into());
            if let Some(picodollars) = result.remove("picodollars") {
                let value = dollars(picodollars.as_u64().unwrap());
                result.insert("amount".to_owned(), json!({"value": value, "currency": "usd"}));
            }
            finished.push(result.into());
        }
        finished
    }

    /// True if the caller may see the call, and the endpoint and the filters contain it.
    fn selects(&self, call: &TestCall) -> bool {
        let is_visible = match self.caller {
            "operator" | "key_all" => true,
            "key_group" => call.key == "key_group" || call.group == Some("g"),
            caller => call.key == caller,
        };
        let is_of_endpoint = match self.path.rsplit('/').next().unwrap() {
            "completions" => {
                call.endpoint.contains("completions")
                    || call.endpoint.contains("responses")
                    || call.endpoint.contains("messages")
            }
            "embeddings" => call.endpoint.contains("embeddings"),
            "moderations" => call.endpoint.contains("moderations"),
            "images" => call.endpoint.contains("images"),
            _ => true,
        };
        let is_selected = |(filter, values): &(&str, Vec<&str>)| match *filter {
            "api_key_ids" => values.contains(&call.key),
            "project_ids" => values.contains(&call.group.unwrap_or("")),
            "models" | "line_items" => values.contains(&call.model),
            _ => false,
        };
        is_visible && is_of_endpoint && self.filters.iter().all(is_selected)
    }

    /// Returns the members of a result that contain no sum.
    fn dimensions(&self, call: &TestCall) -> Vec<(&'static str, Value)> {
        let names: &[&str] = match self.path.rsplit('/').next().unwrap() {
            "completions" => {
                &["project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"]
            }
            "images" => &["project_id", "user_id", "api_key_id", "model", "size", "source"],
            "costs" => &[
                "project_id",
                "user_id",
                "api_key_id",
                "line_item",
                "api_source",
                "quantity",
                "quantity_unit",
            ],
            _ => &["project_id", "user_id", "api_key_id", "model"],
        };
        let value_of = |name: &str| match name {
            _ if !self.group_by.contains(&name) => Value::Null,
            "project_id" => call.group.into(),
            "api_key_id" => call.key.into(),
            "model" | "line_item" => call.model.into(),
            "batch" => false.into(),
            _ => Value::Null,
        };
        names.iter().map(|name| (*name, value_of(name))).collect()
    }

    /// Returns the numbers of the result of one call.
    fn numbers(&self, call: &TestCall) -> Value {
        let usage = &call.usage;
        let tokens = call.charge.tokens;
        let input = usage.input_tokens.unwrap_or(0);
        let cached = usage.cached_input_tokens.unwrap_or(0);
        match self.path.rsplit('/').next().unwrap() {
            "costs" => json!({"picodollars": call.charge.picodollars}),
            "images" => json!({"images": usage.images.unwrap_or(0), "num_model_requests": 1}),
            "completions" => {
                let mut numbers = json!({
                    "num_model_requests": 1,
                    "input_tokens": input,
                    "output_tokens": tokens - input,
                    "input_cached_tokens": cached,
                    "input_cache_write_tokens": 0,
                    "input_uncached_tokens": input - cached,
                    "input_audio_tokens": 0,
                    "output_audio_tokens": 0,
                });
                if let Some(text) = usage.text_input_tokens {
                    numbers["input_text_tokens"] = text.into();
                }
                numbers
            }
            _ => json!({"input_tokens": tokens, "num_model_requests": 1}),
        }
    }

    fn object(&self) -> String {
        if self.path == COSTS {
            return "organization.costs.result".to_owned();
        }
        format!("organization.usage.{}.result", self.path.rsplit('/').next().unwrap())
    }

    /// Returns the name that the naming layer inserts for a key in the results.
    pub(super) fn name_of(&self, key_id: &str) -> &'static str {
        let is_visible = match self.caller {
            "operator" | "key_all" => true,
            "key_group" => group_of(key_id) == Some("g"),
            caller => key_id == caller,
        };
        match KEYS.iter().find(|(id, ..)| *id == key_id) {
            Some((_, name, ..)) if is_visible => name,
            _ => "unknown",
        }
    }
}

/// Adds the numbers of a result to those of another one.
pub(super) fn add_numbers(sums: &mut Map<String, Value>, added: &Value) {
    for (name, number) in added.as_object().unwrap() {
        if let Some(number) = number.as_u64() {
            let sum = sums.get(name).and_then(Value::as_u64).unwrap_or(0);
            sums.insert(name.clone(), (sum + number).into());
        }
    }
}

/// Returns the dollars of an amount, with at least two decimal places.
fn dollars(picodollars: u64) -> String {
    let digits = format!("{picodollars:013}");
    let (whole, decimals) = digits.split_at(digits.len() - 12);
    let mut text = format!("{whole}.{decimals}");
    while text.ends_with('0') && text.len() > whole.len() + 3 {
        text.pop();
    }
    text
}
