//! The spend of today and of this month for `/metrics` (`--spend-metrics`), which a task reads regularly.
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::AdminKey;
use tower_api_key_name::names::{Provider, Snapshot};

use super::by_provider::ByProvider;
use super::metrics::spend::{SpendLabels, SpendSample};
use super::settings::ProxySettings;
use super::spend::{
    Amount, DayRange, Dimension, Every, GroupValue, SpendQuery, SpendReport, SpendRow, periods, read_report,
};
use super::start_error::StartError;
use super::sync;

/// The time between two runs.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The most series of one period, `other` included, so both periods have at most 2,000.
const MAX_SERIES: usize = 1_000;

/// The dimensions of the labels.
const DIMENSIONS: [Dimension; 2] = [Dimension::KeyName, Dimension::ProjectName];

/// The label value of the sum of all smaller series.
const OTHER: &str = "other";

/// The amounts of one period.
type Sums = BTreeMap<SpendLabels, Amount>;

/// Starts the task that reads the spend of each provider whose admin key is set. Fails if there is no key, or an invalid one.
pub fn start(names: ByProvider<SharedKeyNames>, settings: ProxySettings) -> Result<(), StartError> {
    let found = sync::admin_keys(&settings.base, "--spend-metrics")?;
    let keys = ByProvider { openai: found.openai.key(), anthropic: found.anthropic.key() };
    tokio::spawn(read_regularly(keys, names, settings));
    Ok(())
}

/// Replaces the series after each interval, without end. A run that fails leaves them as they are.
async fn read_regularly(
    keys: ByProvider<Option<AdminKey>>,
    names: ByProvider<SharedKeyNames>,
    settings: ProxySettings,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match read_sample(&keys, &names, &settings, Timestamp::now()).await {
            Ok(sample) => settings.metrics.spend.replace(sample),
            Err(error) => tracing::warn!("the spend for /metrics cannot be read: {error}"),
        }
    }
}

/// Reads the costs of this month by day. Parts that cannot be read are logged, and missing in the sums.
async fn read_sample(
    keys: &ByProvider<Option<AdminKey>>,
    names: &ByProvider<SharedKeyNames>,
    settings: &ProxySettings,
    now: Timestamp,
) -> Result<SpendSample, BoxError> {
    let mut providers = Vec::new();
    for provider in [Provider::OpenAi, Provider::Anthropic] {
        if keys.get(provider).is_some() {
            providers.push(provider);
        }
    }
    let today = periods::day_of(now);
    let days = DayRange { first: today.first_of_month(), last: today };
    let query = SpendQuery::new(days, Every::Day, DIMENSIONS.to_vec(), providers)?;
    let known = ByProvider { openai: known_names(&names.openai), anthropic: known_names(&names.anthropic) };
    let report = read_report(query, keys.clone(), &known, settings, now, |_, _| {}, |_| {}).await?;
    for sentence in report.missing_sentences() {
        tracing::warn!("the spend for /metrics is incomplete: {sentence}");
    }
    Ok(sample(&report))
}

/// Returns the names of the proxy, or `None` if there are none, so that the provider's lists are read.
fn known_names(names: &SharedKeyNames) -> Option<Snapshot> {
    let snapshot = names.snapshot();
    if snapshot.is_empty() { None } else { Some(snapshot) }
}

/// Returns the series of a report of this month by day.
fn sample(report: &SpendReport) -> SpendSample {
    let today = report.query.days.last;
    let mut sums_of_today = Sums::new();
    let mut sums_of_month = Sums::new();
    for row in report.unordered_rows() {
        if row.period.first == today {
            add(&mut sums_of_today, "today", &row);
        }
        add(&mut sums_of_month, "month", &row);
    }
    let mut series = limit_series(sums_of_today);
    series.extend(limit_series(sums_of_month));
    SpendSample { series, is_complete: report.is_complete(), read_at: Some(SystemTime::now()) }
}

/// Adds a row to the sum of its labels.
fn add(sums: &mut Sums, period: &'static str, row: &SpendRow<'_>) {
    let mut texts = row.values.iter().map(|value| label_text(*value));
    let labels = SpendLabels {
        period,
        api_key_name: texts.next().unwrap_or_default(),
        project_name: texts.next().unwrap_or_default(),
        currency: row.currency.to_owned(),
    };
    sums.entry(labels).or_default().add(row.amount);
}

/// Returns the label value of a dimension. It is never an id.
fn label_text(value: GroupValue<&str>) -> String {
    match value {
        GroupValue::Text(name) => name.to_owned(),
        GroupValue::UnnamedId(_) => "unknown".to_owned(),
        GroupValue::Null => "none".to_owned(),
        GroupValue::Absent => String::new(),
    }
}

/// Keeps the series with the largest amounts. Adds the others to the series `other` of their currency.
fn limit_series(sums: Sums) -> Vec<(SpendLabels, f64)> {
    let mut by_amount: Vec<(SpendLabels, Amount)> = sums.into_iter().collect();
    if by_amount.len() > MAX_SERIES {
        by_amount.sort_by(|left, right| right.1.cmp(&left.1));
        let mut currencies: Vec<String> =
            by_amount.iter().map(|(labels, _)| labels.currency.clone()).collect();
        currencies.sort();
        currencies.dedup();
        let kept_count = MAX_SERIES.saturating_sub(currencies.len());
        let rest = by_amount.split_off(kept_count);
        by_amount.extend(sum_of_others(rest));
    }
    let mut series = Vec::new();
    for (labels, amount) in by_amount {
        series.push((labels, to_float(&amount)));
    }
    series
}

/// Returns the sums of these series by currency, as series with the name `other`.
fn sum_of_others(rest: Vec<(SpendLabels, Amount)>) -> Sums {
    let mut others = Sums::new();
    for (labels, amount) in rest {
        let other = SpendLabels { api_key_name: OTHER.to_owned(), project_name: OTHER.to_owned(), ..labels };
        others.entry(other).or_default().add(&amount);
    }
    others
}

/// Returns the nearest float, which is exact enough for a chart.
fn to_float(amount: &Amount) -> f64 {
    amount.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(key: &str) -> SpendLabels {
        SpendLabels {
            period: "today",
            api_key_name: key.to_owned(),
            project_name: "p".to_owned(),
            currency: "USD".to_owned(),
        }
    }

    fn sums(count: usize) -> Sums {
        let amount = |index: usize| Amount::parse(&format!("{index}.5")).unwrap();
        (0..count).map(|index| (labels(&format!("key-{index}")), amount(index))).collect()
    }

    #[test]
    fn series_within_the_limit_stay() {
        let series = limit_series(sums(MAX_SERIES));
        assert_eq!(series.len(), MAX_SERIES);
        assert!(series.iter().all(|(labels, _)| labels.api_key_name != OTHER));
    }

    #[test]
    fn series_beyond_the_limit_are_summed_as_other() {
        let series = limit_series(sums(MAX_SERIES + 1));
        assert_eq!(series.len(), MAX_SERIES);
        let others: Vec<f64> =
            series.iter().filter(|(labels, _)| labels.api_key_name == OTHER).map(|(_, sum)| *sum).collect();
        // The two smallest amounts: 0.5 and 1.5.
        assert_eq!(others, [2.0]);
        assert_eq!(series[0], (labels(&format!("key-{MAX_SERIES}")), MAX_SERIES as f64 + 0.5));
    }

    #[test]
    fn id_without_a_name_is_no_label() {
        assert_eq!(label_text(GroupValue::UnnamedId("key_secret")), "unknown");
    }
}
