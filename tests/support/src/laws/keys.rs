//! Keys files: generated with defects, with a secret at any place, and arbitrary bytes.

use std::collections::HashSet;
use std::sync::OnceLock;

use serde_json::Value;

use super::map::defect_of;
use crate::unstructured::Unstructured;
use tower_api_key_name::{KeyNames, Snapshot};

/// An accepted keys file.
pub struct ReadKeys {
    pub names: Snapshot,
    /// The debug output of the handle.
    pub debug: String,
}

/// The error of a rejected keys file.
pub struct KeysFileDefect {
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// Every text of the error.
    pub text: String,
}

type Outcome = Result<ReadKeys, KeysFileDefect>;

/// Checks that `parse` accepts a generated file exactly if a naive reader does, that its names are those of the naming map,
/// and that an error is within the text and does not repeat a secret.
pub fn check(input: &[u8], parse: impl Fn(&[u8]) -> Outcome) {
    let mut source = Unstructured::new(input);
    let at = source.number();
    let mut text = if source.byte() % 8 == 7 {
        source.take_rest().to_vec()
    } else {
        let mut generator = Generator { source, has_duplicate: false };
        let text = generator.file();
        let is_valid = !generator.has_duplicate && is_valid_file(&serde_json::from_str(&text).unwrap());
        let outcome = parse(text.as_bytes());
        let error = outcome.err().map(|defect| defect.text);
        assert_eq!(error.is_none(), is_valid, "{error:?}: {text}");
        text.into_bytes()
    };
    assert_sound(&text, &parse(&text));
    let at = at % (text.len() + 1);
    text.splice(at..at, SECRET.bytes());
    assert_sound(&text, &parse(&text));
}

const SECRET: &str = "sk-px-Zq3XyWv7T0abcdEFGHZq3XyWv7T0abcdEFGHZq3XyWv7T";

/// Checks the rules for every text.
fn assert_sound(text: &[u8], outcome: &Outcome) {
    let shown = String::from_utf8_lossy(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text));
    let output = match outcome {
        Ok(read) => {
            let map = KeyNames::from_json(text).unwrap();
            assert!(read.names.iter().eq(map.iter()), "{shown}");
            &read.debug
        }
        Err(defect) => {
            assert_eq!(defect.line.is_some(), defect.column.is_some());
            if let (Some(line), Some(column)) = (defect.line, defect.column) {
                let line = shown.split('\n').nth(line - 1);
                let is_there = line.is_some_and(|line| column <= line.chars().count() + 1);
                assert!(is_there, "{}: {shown}", defect.text);
            }
            &defect.text
        }
    };
    assert!(!output.contains("Zq3Xy"), "{output}");
}

/// A file with one word, which can be a real key.
fn key_file() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("law-of-keys-{}", std::process::id()));
        std::fs::write(&path, "real-key").unwrap();
        path.to_str().unwrap().to_owned()
    })
}

const VALID_TIMES: &[&str] = &["2027-07-31T00:00:00Z", "2027-07-31T02:00:00.5+02:00"];

/// Draws a file, valid in most cases.
struct Generator<'a> {
    source: Unstructured<'a>,
    /// True if a member occurs twice in its object, which `Value` does not show.
    has_duplicate: bool,
}

impl Generator<'_> {
    fn one_in(&mut self, count: u8) -> bool {
        self.source.byte() % count == count - 1
    }

    /// Draws a valid value, or sometimes an invalid one.
    fn pick(&mut self, valid: &[&str], invalid: &[&str]) -> String {
        let choices = if self.one_in(64) { invalid } else { valid };
        self.source.choose(choices).to_owned()
    }

    /// Joins members to an object, sometimes with a member of another name, or the first member twice.
    fn object(&mut self, mut members: Vec<String>) -> String {
        if self.one_in(128) {
            members.push(r#""other":1"#.into());
        }
        if self.one_in(128) && !members.is_empty() {
            members.push(members[0].clone());
            self.has_duplicate = true;
        }
        format!("{{{}}}", members.join(self.source.choose(&[",", ",\n ", " , "])))
    }

    fn file(&mut self) -> String {
        let mut members = Vec::new();
        if self.source.boolean() {
            members.push(format!(r#""object":{}"#, self.pick(&["\"list\""], &["\"page\"", "null"])));
            members.push(format!(r#""has_more":{}"#, self.pick(&["false"], &["true", "0"])));
        }
        let count = self.source.byte() % 4;
        let mut keys = Vec::new();
        for number in 0..count {
            keys.push(self.key(number));
        }
        if !self.one_in(64) {
            members.push(format!(r#""data":[{}]"#, keys.join(",")));
        }
        let groups = vec![format!(r#""rich":{}"#, self.group()), format!(r#""poor":{}"#, self.group())];
        members.push(format!(r#""groups":{}"#, self.object(groups)));
        let upstreams = vec![format!(r#""main":{}"#, self.upstream())];
        members.push(format!(r#""upstreams":{}"#, self.object(upstreams)));
        let mut prices = Vec::new();
        for pattern in ["\"gpt-5*\"", "\"gpt-5-mini\"", "\"*\""] {
            if !self.one_in(3) {
                prices.push(format!("{pattern}:{}", self.model_prices()));
            }
        }
        members.push(format!(r#""prices":{}"#, self.object(prices)));
        self.object(members)
    }

    fn key(&mut self, number: u8) -> String {
        let id = self.pick(&["key_a", "key_b", "key_c", "Zürich 鍵"], &[" ", "a\\tb", "sk-px-a"]);
        let id = if self.one_in(32) { id } else { format!("{id}{number}") };
        let mut members = vec![format!(r#""id":"{id}""#)];
        members.push(format!(r#""name":{}"#, self.pick(&["\"a\"", "\"\\u0061\""], &["\"\"", "7", "null"])));
        let mut hashes = Vec::new();
        for hash in 0..self.source.byte() % 3 {
            let digit = if self.one_in(64) { 0 } else { 16 * (number + 1) + hash };
            hashes.push(match self.source.byte() % 64 {
                63 => "\"sha256:00\"".to_owned(),
                62 => format!("\"sha256:{}{digit:02X}\"", "F".repeat(62)),
                _ => format!("\"sha256:{}{digit:02x}\"", "0".repeat(62)),
            });
        }
        members.push(format!(r#""hashes":[{}]"#, hashes.join(",")));
        if self.source.boolean() {
            members.push(format!(r#""group":{}"#, self.pick(&["\"rich\"", "\"poor\""], &["\"none\"", "[]"])));
        }
        if self.source.boolean() {
            let models = ["[]", r#"["gpt-5-mini*","gpt-5"]"#, r#"["gpt-5-mini"]"#, r#"["*"]"#, r#"["o3"]"#];
            members.push(format!(
                r#""models":{}"#,
                self.pick(&models, &[r#"["*a"]"#, r#"[""]"#, r#"["a",1]"#, "{}"])
            ));
        }
        if self.source.boolean() {
            members.push(format!(
                r#""tools":{}"#,
                self.pick(&[r#"["web_search"]"#, "[]"], &["[null]", "\"a\""])
            ));
        }
        if self.source.boolean() {
            members.push(format!(r#""limits":{}"#, self.limits()));
        }
        if self.source.boolean() {
            members.push(format!(r#""reserve":{}"#, self.pick(&["1", "4096"], &["0", "1.0", "\"1\""])));
            members.push(format!(r#""created_at":{}"#, self.pick(&["1790000000"], &["-1", "1e9", "\"1\""])));
        }
        if self.source.boolean() {
            let time = Value::from(self.source.choose(VALID_TIMES)).to_string();
            let invalid = ["\"2027-07-31\"", "\"2027-02-30T00:00:00Z\"", "\"2027-07-31T00:00:00\"", "1"];
            members.push(format!(r#""expires_at":{}"#, self.pick(&[&time], &invalid)));
        }
        if self.source.boolean() {
            let scopes = ["\"own\"", "\"group\"", "\"all\""];
            members.push(format!(r#""usage_scope":{}"#, self.pick(&scopes, &["\"Own\"", "true"])));
        }
        if self.one_in(64) {
            members.remove(0);
        }
        self.object(members)
    }

    fn limits(&mut self) -> String {
        let mut members = Vec::new();
        for meter in ["requests", "tokens", "dollars"] {
            if !self.source.boolean() {
                continue;
            }
            let mut windows = Vec::new();
            for window in ["minute", "ever"] {
                let amount = match meter {
                    "dollars" => self.amount(),
                    _ => self.pick(
                        &["1", "60", "9223372036854775807"],
                        &["0", "-1", "1.5", "9223372036854775808"],
                    ),
                };
                windows.push(format!(r#""{window}":{amount}"#));
            }
            members.push(format!(r#""{meter}":{}"#, self.object(windows)));
        }
        if self.source.boolean() {
            members.push(format!(r#""parallel":{}"#, self.pick(&["8"], &["0", "null", "8e0"])));
        }
        self.object(members)
    }

    /// Draws an amount of dollars, which is positive if it is valid.
    fn amount(&mut self) -> String {
        self.pick(
            &["\"25.00\"", "\"0.000001\"", "\"9223372.036854\""],
            &[
                "\"0.00\"",
                "\"1.0000000\"",
                "\"9223372.036855\"",
                "\"-1\"",
                "\"1e3\"",
                "\"01\"",
                "\".5\"",
                "\"5.\"",
                "5",
            ],
        )
    }

    fn group(&mut self) -> String {
        let mut members = Vec::new();
        if self.source.boolean() {
            members.push(format!(r#""limits":{}"#, self.limits()));
        }
        if self.source.boolean() {
            let (valid, invalid) =
                ([r#"{"openai":"main"}"#, "{}"], [r#"{"anthropic":"main"}"#, r#"{"openai":"x"}"#]);
            members.push(format!(r#""upstreams":{}"#, self.pick(&valid, &invalid)));
        }
        self.object(members)
    }

    fn upstream(&mut self) -> String {
        let provider = self.pick(&["\"openai\""], &["\"anthropic\"", "\"azure\"", "1"]);
        let key_file = format!(r#""key_file":{}"#, Value::from(key_file()));
        let key =
            self.pick(&[&key_file], &[r#""key_env":"NO_SUCH_VARIABLE""#, r#""key_file":"/no/such/file""#]);
        let mut members = vec![format!(r#""provider":{provider}"#), key];
        if self.source.boolean() {
            let urls = ["\"https://gateway/v1\"", "\"http://127.0.0.1:80\""];
            members.push(format!(
                r#""base_url":{}"#,
                self.pick(&urls, &["\"http://gateway\"", "\"gateway\"", "[]"])
            ));
        }
        self.object(members)
    }

    fn model_prices(&mut self) -> String {
        let mut members = vec![format!(r#""input":{}"#, self.amount())];
        if self.source.boolean() {
            members.push(format!(
                r#""web_search":{}"#,
                self.pick(&["\"10.00\"", "\"0\""], &["\"99999999999\"", "10"])
            ));
        }
        if self.one_in(64) {
            members.remove(0);
        }
        self.object(members)
    }
}

// The naive reader: each rule of the format for a parsed `Value`.

fn has_only(value: &Value, names: &[&str]) -> bool {
    value.as_object().is_some_and(|members| members.keys().all(|name| names.contains(&name.as_str())))
}

fn is_label(value: &Value) -> bool {
    value.as_str().is_some_and(|text| defect_of(text).is_none())
}

/// True if an optional member is absent or valid.
fn is_absent_or(value: Option<&Value>, is_valid: impl Fn(&Value) -> bool) -> bool {
    value.is_none_or(is_valid)
}

fn is_positive(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number > 0)
}

/// The millionths of a dollar in a text.
fn microdollars(value: &Value) -> Option<u128> {
    let text = value.as_str()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if !is_number(whole)
        || !is_number(fraction)
        || fraction.len() > 6
        || (whole != "0" && whole.starts_with('0'))
    {
        return None;
    }
    let padded = format!("{whole}{fraction}{}", "0".repeat(6 - fraction.len()));
    padded.parse().ok()
}

const MAX: u128 = i64::MAX as u128;

fn are_valid_limits(limits: &Value) -> bool {
    let is_dollars =
        |value: &Value| microdollars(value).is_some_and(|amount| amount > 0 && amount * 1_000_000 <= MAX);
    let are_windows = |meter: &str, is_amount: &dyn Fn(&Value) -> bool| {
        is_absent_or(limits.get(meter), |windows| {
            has_only(windows, &["minute", "hour", "day", "month", "ever"])
                && windows.as_object().unwrap().values().all(is_amount)
        })
    };
    has_only(limits, &["requests", "tokens", "dollars", "parallel"])
        && are_windows("requests", &is_positive)
        && are_windows("tokens", &is_positive)
        && are_windows("dollars", &is_dollars)
        && is_absent_or(limits.get("parallel"), is_positive)
}

fn has_dollar_limit(owner: &Value) -> bool {
    owner["limits"]["dollars"].as_object().is_some_and(|windows| !windows.is_empty())
}

fn are_valid_patterns(list: &Value) -> bool {
    let is_pattern =
        |item: &Value| is_label(item) && !item.as_str().unwrap().trim_end_matches('*').contains('*');
    list.as_array().is_some_and(|items| items.iter().all(is_pattern))
}

/// True if the models of one pattern are among those of another.
fn is_covered(models: &str, priced: &str) -> bool {
    match priced.strip_suffix('*') {
        Some(start) => models.starts_with(start),
        None => models == priced,
    }
}

fn is_valid_key(key: &Value, file: &Value) -> bool {
    let members = [
        "id",
        "name",
        "group",
        "hashes",
        "models",
        "tools",
        "limits",
        "reserve",
        "created_at",
        "expires_at",
        "usage_scope",
    ];
    let is_hash = |hash: &Value| {
        let digits = hash.as_str().and_then(|text| text.strip_prefix("sha256:"));
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        digits.is_some_and(|digits| digits.len() == 64 && digits.chars().all(is_digit))
    };
    let group = key.get("group").map(|group| &file["groups"][group.as_str().unwrap_or("none")]);
    let is_priced = |models: &str| {
        file["prices"]
            .as_object()
            .is_some_and(|prices| prices.keys().any(|priced| is_covered(models, priced)))
    };
    let are_models_priced = || match key.get("models") {
        Some(models) => models.as_array().unwrap().iter().all(|model| is_priced(model.as_str().unwrap())),
        None => is_priced("*"),
    };
    has_only(key, &members)
        && is_label(&key["id"])
        && is_label(&key["name"])
        && key["hashes"].as_array().is_some_and(|hashes| hashes.iter().all(is_hash))
        && group.is_none_or(|group| !group.is_null())
        && is_absent_or(key.get("models"), are_valid_patterns)
        && is_absent_or(key.get("tools"), are_valid_patterns)
        && is_absent_or(key.get("limits"), are_valid_limits)
        && is_absent_or(key.get("reserve"), is_positive)
        && is_absent_or(key.get("created_at"), is_positive)
        && is_absent_or(key.get("expires_at"), |time| {
            time.as_str().is_some_and(|text| VALID_TIMES.contains(&text))
        })
        && is_absent_or(key.get("usage_scope"), |scope| {
            ["own", "group", "all"].iter().any(|known| scope == known)
        })
        && (key["hashes"] == Value::Array(vec![])
            || !(has_dollar_limit(key) || group.is_some_and(has_dollar_limit))
            || are_models_priced())
}

fn is_valid_upstream(upstream: &Value) -> bool {
    has_only(upstream, &["provider", "base_url", "key_env", "key_file"])
        && (upstream["provider"] == "openai" || upstream["provider"] == "anthropic")
        && upstream["key_file"] == key_file()
        && is_absent_or(upstream.get("base_url"), |url| {
            url == "https://gateway/v1" || url == "http://127.0.0.1:80"
        })
}

fn is_valid_group(group: &Value, file: &Value) -> bool {
    let is_reference = |(provider, name): (&String, &Value)| {
        file["upstreams"][name.as_str().unwrap_or_default()]["provider"].as_str() == Some(provider.as_str())
    };
    has_only(group, &["limits", "upstreams"])
        && is_absent_or(group.get("limits"), are_valid_limits)
        && is_absent_or(group.get("upstreams"), |names| names.as_object().unwrap().iter().all(is_reference))
}

fn is_valid_model_prices(prices: &Value) -> bool {
    let is_price = |(name, price): (&String, &Value)| {
        let unit = if name == "web_search" { 1_000 } else { 1 };
        microdollars(price).is_some_and(|amount| amount * unit <= MAX)
    };
    has_only(prices, &["input", "web_search"])
        && prices.get("input").is_some()
        && prices.as_object().unwrap().iter().all(is_price)
}

fn is_valid_file(file: &Value) -> bool {
    let Some(keys) = file["data"].as_array() else { return false };
    let all = |section: &str, is_valid: &dyn Fn(&Value) -> bool| {
        file[section].as_object().is_some_and(|members| members.values().all(is_valid))
    };
    let ids: HashSet<&Value> = keys.iter().map(|key| &key["id"]).collect();
    let hashes: Vec<&Value> =
        keys.iter().flat_map(|key| key["hashes"].as_array().into_iter().flatten()).collect();
    let different_hashes: HashSet<&Value> = hashes.iter().copied().collect();
    has_only(file, &["object", "has_more", "data", "groups", "upstreams", "prices"])
        && is_absent_or(file.get("object"), |object| object == "list")
        && is_absent_or(file.get("has_more"), |has_more| *has_more == Value::Bool(false))
        && all("upstreams", &is_valid_upstream)
        && all("groups", &|group| is_valid_group(group, file))
        && all("prices", &is_valid_model_prices)
        && keys.iter().all(|key| is_valid_key(key, file))
        && ids.len() == keys.len()
        && different_hashes.len() == hashes.len()
}
