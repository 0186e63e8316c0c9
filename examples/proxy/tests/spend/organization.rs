//! The test harness: a fake organization with costs of both providers, and runs over the real stack.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_api_key_name::names::{Labels, Provider};
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::metrics::Metrics;
use api_key_name_proxy::settings::{ProxySettings, Roots};
use api_key_name_proxy::spend::run::run_with_retries;
use api_key_name_proxy::spend::{
    CostApi, CostUpstream, DayRange, Dimension, Every, GroupValue, SpendProgress, SpendQuery, SpendReport,
};
use api_key_name_proxy::stack;

/// A time at which no day of the tests is provisional.
pub(crate) const NOW: &str = "2026-12-01T12:00:00Z";

/// The secret of the credentials.
pub(crate) const SECRET: &str = "sk-admin-fake-0123456789";

/// A response of the fake organization.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// True if the connection breaks after the body.
    pub(crate) breaks_off: bool,
    /// The length of the chunks of the body.
    pub(crate) chunk_len: usize,
}

/// The number of a request, from 1, and its target, decoded.
pub(crate) struct Received<'a> {
    pub(crate) number: usize,
    pub(crate) target: &'a str,
}

type Hook = Box<dyn Fn(&Received<'_>) -> Option<Reply> + Send + Sync>;

/// Rows by day, as JSON, and a hook that can replace a response.
#[derive(Default)]
pub(crate) struct Organization {
    pub(crate) openai: BTreeMap<Date, Vec<String>>,
    pub(crate) anthropic: BTreeMap<Date, Vec<String>>,
    /// The number of rows of a page of Anthropic's. 0: as requested.
    pub(crate) page_rows: usize,
    /// The number of buckets of a page of OpenAI's. 0: as requested.
    pub(crate) page_buckets: usize,
    /// True if OpenAI's rows of a day are in two buckets.
    pub(crate) splits_days: bool,
    pub(crate) hook: Option<Hook>,
}

/// A running organization.
pub(crate) struct FakeApi {
    pub(crate) base: String,
    pub(crate) names: SharedKeyNames,
    requests: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.into(),
            breaks_off: false,
            chunk_len: 1_000,
        }
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body =
            serde_json::json!({"error": {"message": message, "type": "fake", "param": null, "code": null}});
        Self { status: StatusCode::from_u16(status).unwrap(), ..Self::ok(body.to_string()) }
    }

    /// Ends the body after a number of bytes, with an error of the connection.
    pub(crate) fn broken_after(mut self, len: usize) -> Self {
        self.breaks_off = true;
        self.truncated_to(len)
    }

    /// Ends the body after a number of bytes.
    pub(crate) fn truncated_to(mut self, len: usize) -> Self {
        self.body.truncate(len);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn into_response(self) -> Response<BoxBody<Bytes, io::Error>> {
        let mut response = Response::builder().status(self.status).header("content-type", self.content_type);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let mut frames: Vec<io::Result<Frame<Bytes>>> = self
            .body
            .as_bytes()
            .chunks(self.chunk_len)
            .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
            .collect();
        if self.breaks_off {
            frames.push(Err(io::Error::other("the connection breaks")));
        }
        response.body(BodyExt::boxed(StreamBody::new(stream::iter(frames)))).unwrap()
    }
}

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// November 2026, from day to day.
pub(crate) fn november(first: i8, last: i8) -> DayRange {
    DayRange { first: jiff::civil::date(2026, 11, first), last: jiff::civil::date(2026, 11, last) }
}

pub(crate) fn query(
    days: DayRange,
    every: Every,
    dimensions: &[Dimension],
    provider: Provider,
) -> SpendQuery {
    SpendQuery::new(days, every, dimensions.to_vec(), vec![provider]).unwrap()
}

/// Returns a row of OpenAI's.
pub(crate) fn openai_row(key: Option<&str>, amount: &str, currency: &str) -> String {
    let key = serde_json::to_string(&key).unwrap();
    format!(
        r#"{{"object":"organization.costs.result","amount":{{"value":{amount},"currency":"{currency}"}},"line_item":null,"project_id":null,"api_key_id":{key},"organization_id":"org-1"}}"#
    )
}

/// Returns a row of Anthropic's.
pub(crate) fn anthropic_row(day: Date, group: &str, cents: &str) -> String {
    let next = day.saturating_add(1.day());
    format!(
        r#"{{"starting_at":"{day}T00:00:00Z","ending_at":"{next}T00:00:00Z","group":{{{group}}},"cost":{{"list_amount":"999","amount":"{cents}","currency":"USD"}}}}"#
    )
}

impl Organization {
    /// Adds a row to a day of OpenAI's.
    pub(crate) fn openai_row(mut self, day: Date, row: String) -> Self {
        self.openai.entry(day).or_default().push(row);
        self
    }

    /// Adds a row to a day of Anthropic's.
    pub(crate) fn anthropic_row(mut self, day: Date, group: &str, cents: &str) -> Self {
        self.anthropic.entry(day).or_default().push(anthropic_row(day, group, cents));
        self
    }

    pub(crate) fn hook(
        mut self,
        hook: impl Fn(&Received<'_>) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Serves the organization on loopback, with names for its keys.
    pub(crate) async fn serve(self, names: &[(&str, &str)]) -> FakeApi {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let names = SharedKeyNames::new(KeyNames::new(names.iter().copied()).unwrap());
        let api = FakeApi::new(base, names);
        let requests = api.requests.clone();
        let organization = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let organization = organization.clone();
                let requests = requests.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let encoded = request.uri().to_string();
                    let target = percent_decode_str(&encoded).decode_utf8().unwrap().into_owned();
                    let mut requests = requests.lock().unwrap();
                    requests.push((target.clone(), request.headers().clone()));
                    let reply = organization.reply(&Received { number: requests.len(), target: &target });
                    async move { Ok::<_, Infallible>(reply.into_response()) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        api
    }

    /// Returns the response without the hook.
    pub(crate) fn page(&self, received: &Received<'_>) -> Reply {
        if received.target.starts_with("/v1/organizations/analytics/cost?") {
            self.anthropic_page(received)
        } else if received.target.starts_with("/v1/organization/costs?") {
            self.openai_page(received)
        } else {
            Reply::error(404, "not found")
        }
    }

    fn reply(&self, received: &Received<'_>) -> Reply {
        if let Some(hook) = &self.hook
            && let Some(reply) = hook(received)
        {
            return reply;
        }
        self.page(received)
    }

    fn openai_page(&self, received: &Received<'_>) -> Reply {
        let number = |name| received.parameter(name).unwrap().parse::<i64>().unwrap();
        let (mut start, end) = (number("start_time"), number("end_time"));
        if let Some(cursor) = received.parameter("page") {
            start = cursor.strip_prefix("page+/").unwrap().strip_suffix('=').unwrap().parse().unwrap();
        }
        let limit = if self.page_buckets == 0 { number("limit") } else { self.page_buckets as i64 };
        let mut buckets = Vec::new();
        let mut day_count = 0;
        while start < end && day_count < limit {
            let date = jiff::tz::Offset::UTC.to_datetime(Timestamp::from_second(start).unwrap()).date();
            let rows = self.openai.get(&date).map_or(&[][..], Vec::as_slice);
            let next = start + 86_400;
            let bucket_len = if self.splits_days { rows.len().div_ceil(2) } else { rows.len() };
            let (first_rows, other_rows) = rows.split_at(bucket_len);
            let mut bucket_rows = vec![first_rows];
            if self.splits_days {
                bucket_rows.push(other_rows);
            }
            let bucket_texts = bucket_rows.into_iter().map(|rows| {
                let rows = rows.join(",");
                format!(r#"{{"object":"bucket","start_time":{start},"end_time":{next},"results":[{rows}]}}"#)
            });
            day_count += 1;
            buckets.extend(bucket_texts);
            start = next;
        }
        let cursor = if start < end { format!("\"page+/{start}=\"") } else { "null".to_owned() };
        let buckets = buckets.join(",");
        let has_more = start < end;
        Reply::ok(format!(
            r#"{{"object":"page","data":[{buckets}],"has_more":{has_more},"next_page":{cursor}}}"#
        ))
        .header("openai-organization", "org-header")
    }

    fn anthropic_page(&self, received: &Received<'_>) -> Reply {
        let date = |name| day(received.parameter(name).unwrap().strip_suffix("T00:00:00Z").unwrap());
        let limit: usize = received.parameter("limit").unwrap().parse().unwrap();
        let limit = if self.page_rows == 0 { limit } else { self.page_rows };
        let first: usize = received.parameter("page").map_or(0, |cursor| cursor.parse().unwrap());
        let rows: Vec<&str> = self
            .anthropic
            .range(date("starting_at")..date("ending_at"))
            .flat_map(|(_, rows)| rows.iter().map(String::as_str))
            .collect();
        let last = rows.len().min(first + limit);
        let cursor = if last < rows.len() { format!("\"{last}\"") } else { "null".to_owned() };
        Reply::ok(format!(r#"{{"data":[{}],"next_page":{cursor}}}"#, rows[first..last].join(",")))
    }
}

impl Received<'_> {
    /// Returns the value of a parameter, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl FakeApi {
    pub(crate) fn new(base: String, names: SharedKeyNames) -> Self {
        Self { base, names, requests: Arc::default() }
    }

    /// Returns the settings of a stack over the organization.
    pub(crate) fn settings(&self, labels: Labels) -> ProxySettings {
        ProxySettings {
            metrics: Metrics::default(),
            base: ByProvider::both(self.base.parse().unwrap()),
            timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(600),
            limit: None,
            total_limit: None,
            labels,
            insert_names: InsertNames::Always,
            name_position: NamePosition::Beside,
            prefer: Prefer::default(),
            unmatched: Unmatched::Null,
            roots: Roots::Platform,
        }
    }

    /// Returns the upstream of a provider, over the real stack.
    pub(crate) fn upstream(&self, query: &SpendQuery, provider: Provider) -> CostUpstream {
        let settings = self.settings(query.labels().unwrap());
        let stacks = stack::provider_stacks(ByProvider::both(self.names.clone()), &settings).unwrap();
        let stack = stacks.get(provider).clone();
        let service =
            BoxCloneSyncService::new(stack.map_response(|response| response.map(BodyExt::boxed_unsync)));
        let mut credential = HeaderValue::from_static(SECRET);
        credential.set_sensitive(true);
        let mut headers = HeaderMap::new();
        match provider {
            Provider::Anthropic => {
                headers.insert("x-api-key", credential);
                headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
            }
            _ => {
                headers.insert("authorization", credential);
            }
        }
        CostUpstream { api: CostApi::of(provider), service, headers }
    }

    /// Runs a query. A page is retried for two seconds.
    pub(crate) async fn run(&self, query: &SpendQuery) -> SpendReport {
        self.run_with_progress(query, |_| {}).await
    }

    pub(crate) async fn run_with_progress(
        &self,
        query: &SpendQuery,
        on_progress: impl Fn(SpendProgress),
    ) -> SpendReport {
        let upstreams: Vec<_> =
            query.providers.iter().map(|provider| self.upstream(query, *provider)).collect();
        let now = NOW.parse().unwrap();
        let run = run_with_retries(query.clone(), upstreams, now, Duration::from_secs(2), on_progress);
        tokio::time::timeout(Duration::from_secs(60), run).await.expect("timeout of the test")
    }

    /// Returns the targets that were requested, decoded.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }

    /// Returns the headers of a request.
    pub(crate) fn headers(&self, index: usize) -> HeaderMap {
        self.requests.lock().unwrap()[index].1.clone()
    }
}

/// Returns the rows of a report as text: the day, the values, the number of keys, the currency and the amount.
pub(crate) fn rows(report: &SpendReport) -> Vec<String> {
    let to_text = |value: GroupValue<&str>| match value {
        GroupValue::Text(text) => text.to_owned(),
        GroupValue::UnnamedId(id) => format!("({id})"),
        GroupValue::Null => "null".to_owned(),
        GroupValue::Absent => "absent".to_owned(),
    };
    report
        .rows()
        .map(|row| {
            let values: Vec<String> = row.values.into_iter().map(to_text).collect();
            let keys = row.key_count.map_or("-".to_owned(), |count| count.to_string());
            format!("{} {} {keys} {} {}", row.period.first, values.join("|"), row.currency, row.amount)
        })
        .collect()
}
