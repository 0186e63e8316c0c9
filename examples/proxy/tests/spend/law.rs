//! The law of sums: they equal a naive sum over all rows with big integers, for any paging, grouping, order of rows,
//! division into chunks, and pages that fail and are read again.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigdecimal::num_bigint::BigInt;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_api_key_name::names::Provider;
use tower_api_key_name::settings::{InsertNames, Unmatched};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

use api_key_name_proxy::spend::{CostApi, CostUpstream, Dimension, Every, SpendQuery, SpendReport, run};

use crate::organization::{NOW, Organization, Received, Reply, anthropic_row, november, rows};

const DIMENSIONS: [Dimension; 4] =
    [Dimension::KeyName, Dimension::KeyId, Dimension::ProjectName, Dimension::LineItem];

/// The decimal places of the naive sums.
const PLACES: i32 = 60;

/// One row: its day of November, texts by number, and its amount.
#[derive(Clone, Debug)]
struct RowPlan {
    day: i8,
    key: Option<u8>,
    project: Option<u8>,
    line_item: u8,
    currency: u8,
    digits: i64,
    exponent: i32,
    is_string: bool,
}

/// The organization, the query, and the faults.
#[derive(Clone, Debug)]
struct Plan {
    rows: Vec<RowPlan>,
    is_anthropic: bool,
    dimensions: Vec<Dimension>,
    every: usize,
    page_len: usize,
    chunk_len: usize,
    splits_days: bool,
    /// The numbers of the requests that fail, and the part of the body that they receive.
    faults: BTreeMap<usize, u8>,
}

fn row_plans() -> impl Strategy<Value = Vec<RowPlan>> {
    let texts = (prop::option::of(0..4_u8), prop::option::of(0..2_u8), 0..3_u8, 0..2_u8);
    let amount = (any::<i64>(), -40..20_i32, any::<bool>());
    let row = (1..=9_i8, texts, amount).prop_map(|(day, texts, amount)| RowPlan {
        day,
        key: texts.0,
        project: texts.1,
        line_item: texts.2,
        currency: texts.3,
        digits: amount.0,
        exponent: amount.1,
        is_string: amount.2,
    });
    prop::collection::vec(row, 0..30)
}

fn plans() -> impl Strategy<Value = Plan> {
    let dimensions = prop::sample::subsequence(DIMENSIONS.to_vec(), 1..=3).prop_shuffle();
    let faults = prop::collection::btree_map(1..12_usize, any::<u8>(), 0..4);
    let lens = (1..8_usize, 1..400_usize, any::<bool>());
    (row_plans(), any::<bool>(), dimensions, 0..4_usize, lens, faults).prop_map(
        |(rows, is_anthropic, dimensions, every, (page_len, chunk_len, splits_days), faults)| Plan {
            rows,
            is_anthropic,
            dimensions,
            every,
            page_len,
            chunk_len,
            splits_days,
            faults,
        },
    )
}

impl RowPlan {
    fn json(&self, is_anthropic: bool) -> String {
        let id = |prefix: &str, number: Option<u8>| match number {
            Some(number) => format!("\"{prefix}_{number}\""),
            None => "null".to_owned(),
        };
        let key = id("key", self.key);
        let project = id("proj", self.project);
        let amount = format!("{}e{}", self.digits, self.exponent);
        let item = self.line_item;
        if is_anthropic {
            let group = format!(
                r#""api_key_id":{key},"workspace_id":{project},"model":"item {item}","cost_type":null,"token_type":null"#
            );
            let row = anthropic_row(november(self.day, self.day).first, &group, &amount);
            return row.replace("USD", self.currency());
        }
        let value = if self.is_string { format!("\"{amount}\"") } else { amount };
        let currency = self.currency().to_lowercase();
        format!(
            r#"{{"api_key_id":{key},"amount":{{"value":{value},"currency":"{currency}"}},"line_item":"item {item}","project_id":{project}}}"#
        )
    }

    fn currency(&self) -> &'static str {
        ["USD", "EUR"][usize::from(self.currency)]
    }

    /// Returns the value of a dimension in the form of [`rows`]. Keys 0 and 1 have one name, keys 2 and 3 have none.
    fn value(&self, dimension: Dimension) -> String {
        match (dimension, self.key, self.project) {
            (Dimension::LineItem, _, _) => format!("item {}", self.line_item),
            (Dimension::ProjectName, _, Some(project)) => format!("(proj_{project})"),
            (Dimension::KeyName, Some(0 | 1), _) => "Alpha".to_owned(),
            (Dimension::KeyName, Some(key), _) => format!("(key_{key})"),
            (Dimension::KeyId, Some(key), _) => format!("key_{key}"),
            _ => "null".to_owned(),
        }
    }
}

impl Plan {
    fn provider(&self) -> Provider {
        if self.is_anthropic { Provider::Anthropic } else { Provider::OpenAi }
    }

    fn query(&self) -> SpendQuery {
        let every = [Every::Day, Every::Week, Every::Month, Every::Total][self.every];
        // Rows of 1 and 9 November are outside.
        SpendQuery::new(november(2, 8), every, self.dimensions.clone(), vec![self.provider()]).unwrap()
    }

    fn organization(&self) -> Organization {
        let mut organization = Organization {
            page_rows: self.page_len,
            page_buckets: self.page_len,
            splits_days: self.splits_days,
            ..Organization::default()
        };
        let days = if self.is_anthropic { &mut organization.anthropic } else { &mut organization.openai };
        for row in &self.rows {
            days.entry(november(row.day, row.day).first).or_default().push(row.json(self.is_anthropic));
        }
        organization
    }

    /// Returns the response to a request, which may be a fault.
    fn reply(&self, organization: &Organization, received: &Received<'_>) -> Reply {
        let mut reply = organization.page(received);
        reply.chunk_len = self.chunk_len;
        let Some(fault) = self.faults.get(&received.number) else { return reply };
        let len = reply.body.len() * usize::from(*fault) / 256;
        match fault % 3 {
            0 => Reply::error(429, "slow down").header("retry-after", "7"),
            1 => reply.truncated_to(len),
            _ => reply.broken_after(len),
        }
    }

    /// Returns the upstream over the naming layer, without a network.
    fn upstream(&self) -> CostUpstream {
        let names = KeyNames::new([("key_0", "Alpha"), ("key_1", "Alpha")]).unwrap();
        let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names))
            .labels(self.query().labels().unwrap())
            .insert_names(InsertNames::Always)
            .unmatched(Unmatched::Null);
        let organization = Arc::new(self.organization());
        let plan = Arc::new(self.clone());
        let request_count = Arc::new(AtomicUsize::new(0));
        let upstream = service_fn(move |request: Request<Option<Incoming>>| {
            let encoded = request.uri().to_string();
            let target = percent_decode_str(&encoded).decode_utf8().unwrap();
            let number = request_count.fetch_add(1, Ordering::SeqCst) + 1;
            let response = plan.reply(&organization, &Received { number, target: &target }).into_response();
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        let stack = ServiceBuilder::new().layer(layer).service(upstream);
        let service =
            stack.map_response(|response| response.map(|body| body.map_err(BoxError::from).boxed_unsync()));
        let service = BoxCloneSyncService::new(service);
        CostUpstream { api: CostApi::of(self.provider()), service, headers: HeaderMap::new() }
    }

    /// Returns the rows by a naive sum, in any order.
    fn naive_rows(&self) -> BTreeSet<String> {
        let query = self.query();
        let mut sums: BTreeMap<String, (BigInt, BTreeSet<u8>, &str)> = BTreeMap::new();
        for row in &self.rows {
            let day = november(row.day, row.day).first;
            if day < query.days.first || day > query.days.last {
                continue;
            }
            let first = query.every.period(day, query.days).first;
            let values: Vec<String> = self.dimensions.iter().map(|dimension| row.value(*dimension)).collect();
            let group = format!("{first} {} {}", values.join("|"), row.currency());
            let entry = sums.entry(group).or_insert((BigInt::ZERO, BTreeSet::new(), row.currency()));
            let exponent = row.exponent - if self.is_anthropic { 2 } else { 0 };
            entry.0 += BigInt::from(row.digits) * BigInt::from(10).pow((exponent + PLACES) as u32);
            entry.1.extend(row.key);
        }
        let by_key = query.is_by_key();
        let to_row = |(group, (sum, keys, currency)): (String, (BigInt, BTreeSet<u8>, &str))| {
            let values = group.strip_suffix(currency).unwrap();
            let keys = if by_key { keys.len().to_string() } else { "-".to_owned() };
            format!("{values}{keys} {currency} {}", decimal(&sum))
        };
        sums.into_iter().map(to_row).collect()
    }
}

/// Writes an integer of the unit 10^-PLACES as a decimal without trailing zeros.
fn decimal(sum: &BigInt) -> String {
    let places = PLACES as usize;
    let text = sum.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (integer, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{integer}") } else { format!("{sign}{integer}.{fraction}") }
}

/// Runs the plan's query. The time of back-off passes at once.
fn report(plan: &Plan) -> SpendReport {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { run(plan.query(), vec![plan.upstream()], NOW.parse().unwrap(), |_| {}).await })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_equal_naive_sums(plan in plans()) {
        let report = report(&plan);
        prop_assert_eq!(&report.missing_costs, &Vec::<String>::new());
        let sums = rows(&report);
        prop_assert_eq!(sums.iter().cloned().collect::<BTreeSet<_>>(), plan.naive_rows());
        prop_assert_eq!(sums.len(), plan.naive_rows().len());
    }
}
