//! The flags of the subcommand `spend`.
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use tower_api_key_name::names::Provider;

use crate::base_url_flags::BaseUrlFlags;
use crate::label_flags::one_of;
use crate::spend::output::OutputFormat;
use crate::spend::periods::parse_day;
use crate::spend::{DayRange, Dimension, Every, SpendQuery};

/// The number of days without --from and --last.
const DEFAULT_DAYS: u32 = 30;

/// The first day for which a range is accepted. The APIs have no costs before it.
const FIRST_DAY: Date = date(2020, 1, 1);

/// The longest range in days: ten years.
const MAX_DAYS: u64 = 3_660;

#[derive(Clone, Debug, clap::Args)]
pub struct SpendFlags {
    /// Group by one to three of these, separated by commas [default: api_key_name]
    #[arg(long, value_delimiter = ',', value_name = "DIMENSION", value_parser = dimension_parser())]
    pub by: Vec<Dimension>,

    /// Length of the periods; weeks begin on Monday [default: total]
    #[arg(long, value_parser = one_of([
        ("day", Every::Day), ("week", Every::Week), ("month", Every::Month), ("total", Every::Total),
    ]))]
    pub every: Option<Every>,

    /// First day, in UTC, for example 2026-11-01
    #[arg(long, value_name = "DATE", conflicts_with = "last", value_parser = parse_date)]
    pub from: Option<Date>,

    /// Last day, inclusive, with --from only [default: yesterday]
    // `last` is named, because clap drops `requires` if it conflicts with a flag that is present.
    #[arg(long, value_name = "DATE", requires = "from", conflicts_with_all = ["today", "last"])]
    #[arg(value_parser = parse_date)]
    pub to: Option<Date>,

    /// Number of days before today, for example 7d [default: 30d, without --from]
    #[arg(long, value_name = "DAYS", value_parser = parse_days)]
    pub last: Option<u32>,

    /// Include today, whose costs are not yet complete
    #[arg(long)]
    pub today: bool,

    /// API whose costs are read; `all` are both APIs, and `ledger` is the ledger of proxy keys, with --keys and --ledger
    /// [default: each API whose admin key is set]
    #[arg(long, value_parser = one_of([
        ("openai", ProviderChoice::One(Provider::OpenAi)),
        ("anthropic", ProviderChoice::One(Provider::Anthropic)),
        ("all", ProviderChoice::All),
        ("ledger", ProviderChoice::Ledger),
    ]))]
    pub provider: Option<ProviderChoice>,

    /// With --provider ledger: keys file with the names
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// With --provider ledger: ledger, which is opened read-only, also while the proxy writes it
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// File with names, as for `serve`; may be repeated [default: the names in the API's lists]
    #[arg(long, value_name = "FILE")]
    pub names: Vec<PathBuf>,

    /// Format of the result. `focus` has one row for each day, key, line item and project
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,

    /// Write the result to this file, which is replaced atomically, or to a device or pipe [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub base_urls: BaseUrlFlags,

    /// Use an embedded demo API in place of the base URLs and the admin keys, with the names of its lists or of --names
    #[arg(long)]
    pub demo: bool,
}

/// The value of `--provider`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderChoice {
    One(Provider),
    /// The APIs of both providers.
    All,
    /// The ledger of proxy keys.
    Ledger,
}

/// The files of --provider ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerFiles<'a> {
    pub keys: &'a Path,
    pub ledger: &'a Path,
}

impl SpendFlags {
    /// Returns the files of --provider ledger, or `None` for the APIs. Fails if a file is missing, or if a flag has no effect
    /// with this provider.
    pub fn ledger_files(&self) -> Result<Option<LedgerFiles<'_>>, String> {
        if self.provider != Some(ProviderChoice::Ledger) {
            if self.keys.is_some() || self.ledger.is_some() {
                return Err("--keys and --ledger require --provider ledger".to_owned());
            }
            return Ok(None);
        }
        if self.demo {
            return Err("--provider ledger cannot be used with --demo".to_owned());
        }
        if !self.names.is_empty() {
            return Err("--provider ledger has the names of --keys: leave out --names".to_owned());
        }
        match (&self.keys, &self.ledger) {
            (Some(keys), Some(ledger)) => Ok(Some(LedgerFiles { keys, ledger })),
            _ => Err("--provider ledger requires --keys and --ledger, the files of `serve`".to_owned()),
        }
    }

    /// Returns the providers of --provider, or all without the flag. The ledger is no provider.
    pub fn selected_providers(&self) -> Vec<Provider> {
        match self.provider {
            Some(ProviderChoice::Ledger) => Vec::new(),
            Some(ProviderChoice::One(provider)) => vec![provider],
            Some(ProviderChoice::All) | None => vec![Provider::OpenAi, Provider::Anthropic],
        }
    }

    /// Returns the query of these flags for costs of `providers`, on the day `today`. An error is a misuse of the flags.
    pub fn query(&self, providers: Vec<Provider>, today: Date) -> Result<SpendQuery, String> {
        let days = self.days(today)?;
        if self.format == OutputFormat::Focus {
            if !self.by.is_empty() || self.every.is_some() {
                let rows = "one row for each day, key, line item and project";
                return Err(format!("--format focus always has {rows}: leave out --by and --every"));
            }
            return SpendQuery::focus(days, providers).map_err(|e| e.to_string());
        }
        let dimensions = if self.by.is_empty() { vec![Dimension::KeyName] } else { self.by.clone() };
        let every = self.every.unwrap_or(Every::Total);
        let query = match self.provider {
            Some(ProviderChoice::Ledger) => SpendQuery::of_ledger(days, every, dimensions),
            _ => SpendQuery::new(days, every, dimensions, providers),
        };
        query.map_err(|e| format!("--by: {e}"))
    }

    /// Returns the days from --from to --to, or the last days before `today`. Fails if the APIs have no costs in the range,
    /// or if it is too long. The error names the flags that were used.
    fn days(&self, today: Date) -> Result<DayRange, String> {
        let default_last = if self.today { today } else { today.saturating_sub(1.day()) };
        let last = self.to.unwrap_or(default_last);
        let first = match self.from {
            Some(first) => self.check_from(first, last, today)?,
            None => self.first_of_last_days(last)?,
        };
        let days = DayRange { first, last };
        if days.count() > MAX_DAYS {
            return Err(format!("the range from {first} to {last} has more than {MAX_DAYS} days"));
        }
        Ok(days)
    }

    /// Returns the day of --from. Fails if the APIs have no costs from this day to `last`.
    fn check_from(&self, first: Date, last: Date, today: Date) -> Result<Date, String> {
        if first < FIRST_DAY {
            return Err(format!("--from {first}: the APIs have no costs before {FIRST_DAY}"));
        }
        if first > today {
            return Err(format!("--from {first}: the day is after today, which is {today} in UTC"));
        }
        if first <= last {
            return Ok(first);
        }
        Err(match self.to {
            Some(to) => format!("--from {first} is after --to {to}"),
            None => format!("--from {first} is today, whose costs are not yet complete: add --today"),
        })
    }

    /// Returns the first one of the days of --last, which end with `last`. Fails if the APIs have no costs on that day.
    fn first_of_last_days(&self, last: Date) -> Result<Date, String> {
        let day_count = self.last.unwrap_or(DEFAULT_DAYS);
        let max_days = DayRange { first: FIRST_DAY, last }.count().min(MAX_DAYS);
        if u64::from(day_count) > max_days {
            return Err(format!("--last {day_count}d: the largest value is {max_days}d"));
        }
        Ok(last.saturating_sub((i64::from(day_count) - 1).days()))
    }
}

/// Returns a parser of the dimensions that a user can group by.
fn dimension_parser() -> impl TypedValueParser<Value = Dimension> {
    one_of(Dimension::SELECTABLE.map(|dimension| (dimension.name(), dimension)))
}

/// Parses a day as `YYYY-MM-DD`. A time or a time zone is an error, because ranges consist of whole days in UTC.
fn parse_date(text: &str) -> Result<Date, String> {
    parse_day(text).ok_or_else(|| "expected a day as YYYY-MM-DD, for example 2026-11-01".to_owned())
}

/// Parses a number of days with its unit, such as `30d`.
fn parse_days(text: &str) -> Result<u32, String> {
    let count = text.strip_suffix('d').and_then(|digits| digits.parse().ok());
    match count {
        Some(count @ 1..) => Ok(count),
        _ => Err("expected a number of days with the unit d, for example 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: SpendFlags,
    }

    fn query(line: &str) -> Result<SpendQuery, String> {
        let words = ["spend"].into_iter().chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words).map_err(|e| e.to_string())?;
        parsed.flags.query(vec![Provider::OpenAi], date(2026, 12, 1))
    }

    #[test]
    fn range_ends_yesterday_by_default() {
        let days = query("").unwrap().days;
        assert_eq!((days.first, days.last), (date(2026, 11, 1), date(2026, 11, 30)));
        let days = query("--last 7d --today").unwrap().days;
        assert_eq!((days.first, days.last), (date(2026, 11, 25), date(2026, 12, 1)));
        let days = query("--from 2026-10-31").unwrap().days;
        assert_eq!((days.first, days.last), (date(2026, 10, 31), date(2026, 11, 30)));
    }

    #[test]
    fn days_that_contradict_each_other_are_rejected_with_the_flags_that_were_used() {
        for (line, reason) in [
            ("--from 2026-11-02 --to 2026-11-01", "--from 2026-11-02 is after --to 2026-11-01"),
            ("--to 2026-11-01", "--from <DATE>"),
            ("--from 2026-11-01 --last 7d", "cannot be used with"),
            ("--last 30d --to 2026-11-01", "cannot be used with"),
            ("--from 2026-11-01 --to 2026-11-02 --today", "cannot be used with"),
            ("--from 2026-02-30", "YYYY-MM-DD"),
            ("--from 2026-11-01T12:00:00", "YYYY-MM-DD"),
            ("--from 2026-11-01 --to 2026-11-02T00:00:00Z", "YYYY-MM-DD"),
            ("--from 20261101", "YYYY-MM-DD"),
            ("--from 2019-12-31", "--from 2019-12-31: the APIs have no costs before 2020-01-01"),
            ("--from 2020-01-01 --to 2035-01-01", "more than 3660 days"),
            ("--from 2026-12-01", "add --today"),
            ("--from 2026-12-02", "after today, which is 2026-12-01"),
            ("--from 2026-12-02 --to 2026-12-03", "after today, which is 2026-12-01"),
            ("--last 0d", "for example 30d"),
            ("--last 30", "for example 30d"),
            ("--last 3660d", "--last 3660d: the largest value is 2526d"),
            ("--last 4294967295d", "the largest value is 2526d"),
        ] {
            let error = query(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
        assert_eq!(query("--last 2526d").unwrap().days.first, FIRST_DAY);
    }

    #[test]
    fn dimensions_are_one_to_three_different_ones_that_the_provider_has() {
        assert_eq!(query("--by api_key_id,line_item").unwrap().dimensions.len(), 2);
        for line in [
            "--by api_key_name,api_key_name",
            "--by api_key_name,api_key_id,project_name,line_item",
            "--by model",
            "--by color",
        ] {
            assert!(query(line).is_err(), "{line}");
        }
    }

    #[test]
    fn ledger_has_models_and_no_users() {
        assert_eq!(query("--provider ledger --by api_key_name,model").unwrap().providers, []);
        assert!(
            query("--provider ledger --by user_name").unwrap_err().contains("the ledger has no costs by")
        );
    }

    #[test]
    fn ledger_requires_its_files_and_no_other_names() {
        let files = |line: &str| {
            let words = ["spend"].into_iter().chain(line.split_whitespace());
            let flags = Line::try_parse_from(words).unwrap().flags;
            flags.ledger_files().map(|files| files.is_some())
        };
        assert_eq!(files("--provider ledger --keys k --ledger l"), Ok(true));
        assert_eq!(files("--provider all"), Ok(false));
        for (line, reason) in [
            ("--provider ledger", "requires --keys and --ledger"),
            ("--provider ledger --keys k", "requires --keys and --ledger"),
            ("--keys k --ledger l", "require --provider ledger"),
            ("--provider ledger --keys k --ledger l --names n", "leave out --names"),
            ("--provider ledger --keys k --ledger l --demo", "--demo"),
        ] {
            let error = files(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn focus_with_own_grouping_is_rejected() {
        assert_eq!(query("--format focus").unwrap().dimensions, Dimension::FOCUS);
        assert!(query("--format focus --by api_key_name").is_err());
        assert!(query("--format focus --every day").is_err());
    }
}
