use std::borrow::Cow;
use std::fs;
use std::path::Path;

use jiff::civil::{Date, date};
use tower_api_key_name::names::Provider;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::spend::amount::Amount;
use crate::spend::periods::{DayRange, Every};
use crate::spend::query::{Dimension, SpendQuery};
use crate::spend::row::{CostRow, NamedId, RowMember};
use crate::spend::sums::PageSums;

mod charts;
mod files;

const NOVEMBER: DayRange = DayRange { first: date(2026, 11, 1), last: date(2026, 11, 30) };

/// Names that harm a terminal, a page or a spreadsheet.
const HOSTILE_NAMES: [&str; 6] = [
    "=HYPERLINK(\"http://example.com\",\"x\")",
    "<script>alert(1)</script>",
    "two\nlines\r\n, and a comma",
    "\u{202e}gnisrever",
    "👩\u{200d}💻 ❤\u{fe0f} 日本語",
    "@\u{1b}[2J",
];

fn member(text: &str) -> RowMember<'_> {
    RowMember::Text(Cow::Borrowed(text))
}

fn named<'a>(id: &'a str, name: &'a str) -> NamedId<'a> {
    NamedId { id: member(id), name: Some(Cow::Borrowed(name)) }
}

fn unnamed(id: &str) -> NamedId<'_> {
    NamedId { id: member(id), name: None }
}

fn no_id() -> NamedId<'static> {
    NamedId { id: RowMember::Null, name: None }
}

/// Returns a row of a key.
fn cost<'a>(key: NamedId<'a>, currency: &'a str, amount: &str) -> CostRow<'a> {
    let amount = Amount::parse(amount).unwrap();
    CostRow { provider: "OpenAI", key, currency: Cow::Borrowed(currency), amount, ..CostRow::default() }
}

/// Returns a report of November. It is provisional from the 30th.
fn report(query: SpendQuery, rows: &[(Date, CostRow<'_>)]) -> SpendReport {
    let dimensions = query.dimensions.clone();
    let mut report = SpendReport::new(query, date(2026, 11, 30));
    let mut page = PageSums::default();
    for (day, row) in rows {
        let bucket = page.days.entry(*day).or_default();
        bucket.add_row(row, &dimensions, report.texts_mut());
    }
    report.add_page(page);
    report
}

fn query(every: Every, dimensions: &[Dimension]) -> SpendQuery {
    SpendQuery::new(NOVEMBER, every, dimensions.to_vec(), vec![Provider::OpenAi]).unwrap()
}

/// A report by name: a rotated key, an id without a name, costs without a key, two currencies, 36 decimals.
fn november(every: Every) -> SpendReport {
    let rows = [
        (date(2026, 11, 1), cost(named("key_1", "checkout"), "usd", "10.5")),
        (
            date(2026, 11, 2),
            cost(named("key_2", "checkout"), "usd", "1.000000000000000000000000000000000001"),
        ),
        (date(2026, 11, 2), cost(unnamed("key_deleted"), "usd", "3.125")),
        (date(2026, 11, 9), cost(no_id(), "usd", "0.004")),
        (date(2026, 11, 30), cost(named("key_3", "refunds"), "usd", "-1.5")),
        (date(2026, 11, 30), cost(named("key_3", "refunds"), "eur", "12")),
    ];
    report(query(every, &[Dimension::KeyName]), &rows)
}

fn written(report: &SpendReport, format: OutputFormat) -> String {
    let mut bytes = Vec::new();
    write(report, format, false, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn text_has_a_section_with_shares_and_an_exact_total_for_each_currency() {
    let expected = include_str!("tests/total.txt");
    assert_eq!(written(&november(Every::Total), OutputFormat::Text), expected);
}

#[test]
fn text_by_week_marks_clipped_and_provisional_periods() {
    let expected = include_str!("tests/by_week.txt");
    assert_eq!(written(&november(Every::Week), OutputFormat::Text), expected);
}

#[test]
fn text_of_an_incomplete_report_has_no_total_and_no_share() {
    let mut incomplete = november(Every::Total);
    incomplete.missing_costs.push(
        "OpenAI, 2026-11-10 to 2026-11-30: the API responded with 500 to page 12; \
         run the command again\u{1b}[2J\nwith a shorter range."
            .to_owned(),
    );
    incomplete.rows_without_amount = 2;
    let expected = include_str!("tests/incomplete.txt");
    assert_eq!(written(&incomplete, OutputFormat::Text), expected);
}

#[test]
fn text_of_any_names_fits_80_columns() {
    let wide = "漢字".repeat(100);
    let mut names = HOSTILE_NAMES.to_vec();
    names.push(&wide);
    let mut rows = Vec::new();
    for name in &names {
        let mut row = cost(named("key_1", name), "usd", "1234567.891");
        row.project = named("proj_1", name);
        row.user = named("user_1", name);
        rows.push((date(2026, 11, 1), row));
    }
    let dimensions = [Dimension::KeyName, Dimension::ProjectName, Dimension::UserName];
    for count in 1..=3 {
        let by_names = report(query(Every::Day, &dimensions[..count]), &rows);
        let text = written(&by_names, OutputFormat::Text);
        for line in text.lines() {
            assert!(line.width() <= 80, "{line}");
        }
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text}");
        assert!(text.contains("<script>"), "{text}");
    }
}

#[test]
fn text_with_an_extreme_amount_fits_80_columns() {
    let rows = [
        (date(2026, 11, 1), cost(named("key_1", "large"), "usd", "1e6200")),
        (date(2026, 11, 1), cost(named("key_2", "small"), "usd", "1e-6200")),
        (date(2026, 11, 1), cost(named("key_3", "negative"), "usd", "-5e6199")),
    ];
    let extreme = report(query(Every::Total, &[Dimension::KeyName]), &rows);
    let text = written(&extreme, OutputFormat::Text);
    assert!(text.contains("\nsmall           <0.01    0.0%\n"), "{text}");
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    // The total has all digits.
    let (_, total) = text.split_once("\ntotal:\n").unwrap();
    let (digits, _) = total.split_once(" USD\n").unwrap();
    let expected = format!("5{}.{}1", "0".repeat(6_199), "0".repeat(6_199));
    assert_eq!(digits.replace('\n', ""), expected);
}

#[test]
fn colours_are_written_only_on_request() {
    let november = november(Every::Total);
    let mut colored = Vec::new();
    write(&november, OutputFormat::Text, true, &mut colored).unwrap();
    let mut plain = String::from_utf8(colored).unwrap();
    assert!(plain.contains("\x1b[36m█"), "{plain}");
    for code in ["\x1b[1m", "\x1b[36m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, written(&november, OutputFormat::Text));
}

#[test]
fn dimension_without_group_is_not_called_without_key() {
    let mut row = cost(NamedId::default(), "usd", "1");
    row.model = RowMember::Null;
    let rows = [(date(2026, 11, 1), row)];
    let dimensions = vec![Dimension::KeyName, Dimension::Model];
    let ungrouped = report(
        SpendQuery::new(NOVEMBER, Every::Total, dimensions, vec![Provider::Anthropic]).unwrap(),
        &rows,
    );
    let text = written(&ungrouped, OutputFormat::Text);
    assert!(text.contains("(not grouped)  (no model)") && !text.contains("(no key)"), "{text}");
    let csv = written(&ungrouped, OutputFormat::Csv);
    assert!(csv.ends_with("\n2026-11-01,,,0,USD,1,provisional; api_key_name not grouped\n"), "{csv}");
    let json = written(&ungrouped, OutputFormat::Json);
    assert!(json.contains(r#"{"start":"2026-11-01","model":null,"keys":0,"#), "{json}");
}

#[test]
fn empty_report_has_a_note_and_no_totals() {
    let empty = report(query(Every::Day, &[Dimension::LineItem]), &[]);
    assert!(written(&empty, OutputFormat::Text).contains("\nNo costs in this range.\n"));
    let json = written(&empty, OutputFormat::Json);
    assert!(
        json.ends_with(r#""complete":true,"missing":[],"rows":[],"totals":[]}"#.to_owned().as_str())
            || json.ends_with("\"totals\":[]}\n"),
        "{json}"
    );
}

#[test]
fn amount_cells_are_rounded_within_their_width() {
    for (text, cell) in [
        ("0", "0.00"),
        ("0.01", "0.01"),
        ("0.0099999", "<0.01"),
        ("-1e-36", ">-0.01"),
        ("-0.015", "-0.02"),
        ("2.005", "2.00"),
        ("-99999999999999999999.994", "-99999999999999999999.99"),
        ("1234567890123456789012.5", "1.23e21"),
        ("1225000000000000000000000", "1.22e24"),
        ("1225000000000000000000000.0001", "1.23e24"),
        ("-9.999e23", "-1e24"),
        ("1e6200", "1e6200"),
    ] {
        assert_eq!(text_columns::amount_cell(&Amount::parse(text).unwrap()), cell, "{text}");
    }
}

#[test]
fn shares_beyond_the_width_of_the_column_are_limited() {
    for (tenths_of_percent, cell) in [
        (0, "0.0%"),
        (1_000, "100.0%"),
        (9_999, "999.9%"),
        (10_000, ">999%"),
        (-999, "-99.9%"),
        (i64::MIN, "<-99%"),
    ] {
        assert_eq!(text_columns::share_cell(tenths_of_percent), cell);
    }
    assert_eq!(text_columns::bar_cell(i64::MAX), "█".repeat(10));
    assert_eq!(text_columns::bar_cell(-1), "");
    assert_eq!(text_columns::bar_cell(13), "▏");
}

#[test]
fn json_has_a_member_for_each_dimension_and_exact_strings() {
    let expected = include_str!("tests/total.json");
    assert_eq!(written(&november(Every::Total), OutputFormat::Json), expected);
}

#[test]
fn json_of_an_incomplete_report_has_no_totals() {
    let mut incomplete = november(Every::Total);
    incomplete.missing_costs.push("OpenAI: page 12".to_owned());
    incomplete.rows_without_amount = 2;
    let json: serde_json::Value = serde_json::from_str(&written(&incomplete, OutputFormat::Json)).unwrap();
    assert_eq!(json["complete"], false);
    assert_eq!(json["missing"][0], "OpenAI: page 12");
    assert_eq!(json["rows_without_amount"], 2);
    assert_eq!(json["totals"], serde_json::json!([]));
    assert_eq!(json["rows"].as_array().unwrap().len(), 5);
}

#[test]
fn json_by_week_marks_clipped_and_provisional_rows() {
    let json: serde_json::Value =
        serde_json::from_str(&written(&november(Every::Week), OutputFormat::Json)).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let marks =
        |index: usize| (rows[index].get("clipped").is_some(), rows[index].get("provisional").is_some());
    assert_eq!(rows[0]["start"], "2026-11-01");
    assert_eq!(marks(0), (true, false));
    assert_eq!(rows[1]["start"], "2026-11-02");
    assert_eq!(marks(1), (false, false));
    assert_eq!(rows[4]["start"], "2026-11-30");
    assert_eq!(marks(4), (true, true));
}

#[test]
fn csv_has_one_line_for_each_row_with_notes() {
    let mut by_week = november(Every::Week);
    let expected = include_str!("tests/by_week.csv");
    assert_eq!(written(&by_week, OutputFormat::Csv), expected);
    by_week.missing_costs.push("OpenAI: page 12".to_owned());
    let incomplete = written(&by_week, OutputFormat::Csv);
    assert!(incomplete.ends_with("-1.5,clipped; provisional; incomplete\n"), "{incomplete}");
}

#[test]
fn csv_text_that_begins_as_a_formula_is_neutralized() {
    let mut rows = Vec::new();
    for name in HOSTILE_NAMES.iter().chain(&["+1", "-1", "\tx", "\rx", "plain = 1"]) {
        rows.push((date(2026, 11, 1), cost(named("key_1", name), "usd", "-1.5")));
    }
    rows.push((date(2026, 11, 1), cost(unnamed("=id"), "usd", "-1.5")));
    let hostile = report(query(Every::Day, &[Dimension::KeyName]), &rows);
    let csv = written(&hostile, OutputFormat::Csv);
    let mut names = Vec::new();
    for record in ::csv::Reader::from_reader(csv.as_bytes()).records() {
        let record = record.unwrap();
        assert_eq!(&record[4], "-1.5");
        names.push(record[1].to_owned());
    }
    names.sort_unstable();
    let mut expected = vec![
        "'\tx",
        "'\rx",
        "'+1",
        "'-1",
        "'=HYPERLINK(\"http://example.com\",\"x\")",
        "'=id",
        "'@\u{1b}[2J",
        "<script>alert(1)</script>",
        "plain = 1",
        "two\nlines\r\n, and a comma",
        "\u{202e}gnisrever",
        "👩\u{200d}💻 ❤\u{fe0f} 日本語",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// Returns a row with each column of FOCUS that can be filled.
fn focus_cost<'a>(name: &'a str) -> CostRow<'a> {
    let mut row = cost(named("key_Hq3vT9zLm2Xw7BcD", name), "usd", "0.003627500000000000000000000000000000");
    row.organization = Some("org_demo".into());
    row.project = named("proj_shop", "storefront");
    row.line_item = member("gpt-5-mini, input_tokens");
    row
}

fn focus_report(rows: &[(Date, CostRow<'_>)]) -> SpendReport {
    let query = SpendQuery::focus(NOVEMBER, vec![Provider::OpenAi, Provider::Anthropic]).unwrap();
    report(query, rows)
}

#[test]
fn focus_has_the_columns_of_version_1_0() {
    let mut unnamed_row = cost(unnamed("key_deleted"), "eur", "-12");
    unnamed_row.project = unnamed("proj_deleted");
    let mut anthropic_row = cost(no_id(), "usd", "123456.000000000000000000000000000000000001");
    anthropic_row.provider = "Anthropic";
    let rows = [
        (date(2026, 11, 28), focus_cost("checkout-production")),
        (date(2026, 11, 29), focus_cost("=HYPERLINK(\"http://example.com\",\"two\nlines\")")),
        (date(2026, 11, 30), unnamed_row),
        (date(2026, 11, 30), anthropic_row),
    ];
    let expected = include_str!("../../../tests/focus/report.csv");
    assert_eq!(written(&focus_report(&rows), OutputFormat::Focus), expected);
}

#[test]
fn focus_rows_of_a_partial_file_have_tags() {
    let rows = [(date(2026, 11, 29), focus_cost("a")), (date(2026, 11, 30), focus_cost("b"))];
    let mut partial = focus_report(&rows);
    partial.missing_costs.push("Anthropic: page 12".to_owned());
    let text = written(&partial, OutputFormat::Focus);
    let mut tags = Vec::new();
    for record in ::csv::Reader::from_reader(text.as_bytes()).records() {
        tags.push(record.unwrap()[42].to_owned());
    }
    assert_eq!(tags, [r#"{"incomplete":"true"}"#, r#"{"incomplete":"true","provisional":"true"}"#]);
}

#[test]
fn focus_has_exact_names() {
    for name in HOSTILE_NAMES {
        let csv = written(&focus_report(&[(date(2026, 11, 29), focus_cost(name))]), OutputFormat::Focus);
        let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
        let column = reader.headers().unwrap().iter().position(|header| header == "ResourceName").unwrap();
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(&record[column], name);
    }
}

#[test]
fn focus_of_another_query_is_rejected() {
    let error = write(&november(Every::Day), OutputFormat::Focus, false, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
