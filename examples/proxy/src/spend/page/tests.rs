use jiff::civil::date;
use tower_api_key_name::names::Provider;

use super::*;
use crate::spend::amount::AmountError;
use crate::spend::cost_api::CostApi;
use crate::spend::input::MAX_VALUE_LEN;
use crate::spend::periods::{DayRange, Every};
use crate::spend::query::{Dimension, SpendQuery};
use crate::spend::report::SpendReport;
use crate::spend::row::RowError;

const ROW_A: &str =
    r#"{"amount":{"value":0.1,"currency":"usd"},"api_key_id":"key_a","api_key_name":"Alpha"}"#;
const ROW_B: &str =
    r#" {"api_key_name" : "Al\u0070ha","api_key_id":"key_b" ,"amount" : {"currency":"usd","value":"2.5"} } "#;

/// 1 and 2 November 2026.
const FIRST: i64 = 1_793_491_200;
const SECOND: i64 = 1_793_577_600;

fn query(provider: Provider) -> SpendQuery {
    let days = DayRange { first: date(2026, 11, 1), last: date(2026, 11, 2) };
    SpendQuery::new(days, Every::Day, vec![Dimension::KeyName], vec![provider]).unwrap()
}

/// The rows of a page as text, and its cursor.
type Parsed = Result<(Vec<String>, Option<String>), PageError>;

/// Parses a page in chunks.
fn parse_chunks<'c>(provider: Provider, chunks: impl IntoIterator<Item = &'c [u8]>) -> Parsed {
    let query = query(provider);
    let mut report = SpendReport::new(query.clone(), date(2026, 12, 1));
    let mut parser = PageParser::new(PageAccumulator::new(CostApi::of(provider), None, &query, query.days));
    for chunk in chunks {
        parser.push(chunk, report.texts_mut())?;
    }
    let page = parser.finish(report.texts_mut())?;
    report.add_page(page.sums);
    let to_text = |row: crate::spend::SpendRow<'_>| {
        format!(
            "{} {:?} {:?} {} {}",
            row.period.first, row.values[0], row.key_count, row.currency, row.amount
        )
    };
    Ok((report.rows().map(to_text).collect(), page.next_cursor))
}

/// Parses a page in each division into two chunks, and byte by byte. All results must be equal.
#[track_caller]
fn parse(provider: Provider, page: &str) -> Parsed {
    let whole = parse_chunks(provider, [page.as_bytes()]);
    for offset in 0..=page.len() {
        let (first, second) = page.as_bytes().split_at(offset);
        assert_eq!(parse_chunks(provider, [first, second]), whole, "divided at {offset}: {page}");
    }
    assert_eq!(parse_chunks(provider, page.as_bytes().chunks(1)), whole, "byte by byte: {page}");
    whole
}

/// Returns a page of OpenAI's with one bucket, which contains a text in its array of rows.
fn page_with_rows(rows: &str) -> String {
    format!(r#"{{"data":[{{"start_time":{FIRST},"results":[{rows}]}}],"has_more":false}}"#)
}

fn row_error(error: RowError) -> Parsed {
    Err(PageError::Row { row: 1, error })
}

#[test]
fn rows_of_any_member_order_are_summed() {
    let alpha = r#"2026-11-01 Text("Alpha") Some(2) USD 2.6"#.to_owned();
    let cursor = Some("c=".to_owned());
    for page in [
        format!(
            r#"{{"object":"page","data":[{{"object":"bucket","start_time":{FIRST},"end_time":{SECOND},"results":[{ROW_A},{ROW_B}]}}],"has_more":true,"next_page":"c="}}"#
        ),
        format!(
            " {{ \"next_page\" : \"c=\" , \"has_more\":true,\"data\" :\t[ {{ \"results\" :\n[ {ROW_A} , {ROW_B} ] , \"start_time\" : {FIRST} }} ] }} \r\n"
        ),
        // Unknown members of each type, an escaped name, the array of an older specification, two buckets of one day.
        format!(
            r#"{{"x":[1,{{"data":[2]}},"]"],"d\u0061ta":[{{"y":-1.5e+3,"result":[{ROW_A}],"z":null,"start_time":{FIRST}}},{{"results":[{ROW_B}],"start_time":{FIRST}}}],"w":true,"next_page":"c="}}"#
        ),
    ] {
        assert_eq!(parse(Provider::OpenAi, &page), Ok((vec![alpha.clone()], cursor.clone())));
    }
}

#[test]
fn anthropic_rows_are_summed_in_dollars() {
    let row = |day: &str, cents: &str| {
        format!(
            r#"{{"cost":{{"list_amount":"7","amount":"{cents}","currency":"USD"}},"group":{{"api_key_id":"apikey_1","api_key_name":null,"actor":null}},"starting_at":"{day}"}}"#
        )
    };
    let rows = [row("2026-11-01T00:00:00Z", "10.5"), row("2026-11-02T00:00:00Z", "1")].join(",");
    let parsed = parse(Provider::Anthropic, &format!(r#"{{"next_page":null,"data":[{rows}]}}"#));
    let first = r#"2026-11-01 UnnamedId("apikey_1") Some(1) USD 0.105"#.to_owned();
    let second = r#"2026-11-02 UnnamedId("apikey_1") Some(1) USD 0.01"#.to_owned();
    assert_eq!(parsed, Ok((vec![first, second], None)));
}

#[test]
fn days_outside_of_the_range_are_not_added() {
    let day = 24 * 60 * 60;
    let (before, after) = (FIRST - day, SECOND + day);
    let bucket = |time: i64| format!(r#"{{"start_time":{time},"results":[{ROW_A},{{"amount":null}}]}}"#);
    let page = format!(r#"{{"data":[{},{}]}}"#, bucket(before), bucket(after));
    assert_eq!(parse(Provider::OpenAi, &page), Ok((Vec::new(), None)));
}

#[test]
fn empty_page_has_no_rows() {
    for page in [
        r#"{"data":[]}"#,
        r#"{"data":[],"has_more":null,"next_page":""}"#,
        r#"{"data":[{"start_time":1,"results":[]}]}"#,
    ] {
        assert_eq!(parse(Provider::OpenAi, page), Ok((Vec::new(), None)), "{page}");
    }
}

#[test]
fn cursor_is_used_only_if_there_are_more_pages() {
    let cursor_of =
        |members: &str| parse(Provider::OpenAi, &format!(r#"{{"data":[]{members}}}"#)).map(|page| page.1);
    assert_eq!(cursor_of(r#","has_more":false,"next_page":"c""#), Ok(None));
    assert_eq!(cursor_of(r#","next_page":"c""#), Ok(Some("c".to_owned())));
    assert_eq!(cursor_of(r#","has_more":true,"next_page":"\u00e9""#), Ok(Some("é".to_owned())));
    for without_cursor in [r#","has_more":true"#, r#","has_more":true,"next_page":null"#] {
        assert_eq!(cursor_of(without_cursor), Err(PageError::NoCursor));
    }
}

#[test]
fn page_that_ends_early_is_truncated() {
    let page = format!(
        r#"{{"data":[{{"n":-1.5e+10,"results":[{ROW_A},{{"quantity":-1.5e-7}}],"start_time":{FIRST}}}],"has_more":false}}"#
    );
    for len in 0..page.len() {
        let truncated = &page.as_bytes()[..len];
        assert_eq!(parse_chunks(Provider::OpenAi, [truncated]), Err(PageError::Truncated), "{len}");
        assert_eq!(parse_chunks(Provider::OpenAi, truncated.chunks(1)), Err(PageError::Truncated), "{len}");
    }
}

#[test]
fn invalid_json_is_rejected() {
    for page in [
        r#"{"data":[]} x"#,
        r#"{"data":[]}{"#,
        r#"{"data":[],}"#,
        r#"{,"data":[]}"#,
        r#"{"data" []}"#,
        r#"{"data":[]"x":1}"#,
        r#"{"data":[],"x":01}"#,
        r#"{"data":[],"x":1.}"#,
        r#"{"data":[],"x":tru}"#,
        r#"{"data":[],"x":"\q"}"#,
        "{\"data\":[],\"x\":\"\n\"}",
        r#"{"data":[],"x":[1,]}"#,
        r#"{"data":[],"x":NaN}"#,
        r#"{"data":[}"#,
    ] {
        assert!(
            matches!(parse(Provider::OpenAi, page), Err(PageError::InvalidJson | PageError::NotCosts)),
            "{page}"
        );
    }
    for rows in ["{}x", "{},", ",{}", "{} {}", r#"{"a":1,}"#, r#"{"quantity":1.e5}"#] {
        assert_eq!(parse(Provider::OpenAi, &page_with_rows(rows)), Err(PageError::InvalidJson), "{rows}");
    }
}

#[test]
fn response_of_another_form_is_rejected() {
    for page in [
        "[]",
        "null ",
        "<html>",
        r#"{"data":{}}"#,
        r#"{"data":null}"#,
        r#"{"data":[[]]}"#,
        r#"{"data":[],"has_more":"yes"}"#,
        r#"{"data":[],"next_page":1}"#,
        r#"{"data":[{"start_time":"1"}]}"#,
        r#"{"data":[{"start_time":99999999999999,"results":[]}]}"#,
        r#"{"data":[{"results":{}}]}"#,
    ] {
        assert_eq!(parse(Provider::OpenAi, page), Err(PageError::NotCosts), "{page}");
    }
}

#[test]
fn member_that_is_absent_or_occurs_twice_is_rejected() {
    for (page, error) in [
        (r#"{"has_more":false}"#, PageError::MissingMember("data")),
        (r#"{"data":[{"start_time":1}]}"#, PageError::MissingMember("results")),
        (r#"{"data":[{"results":[]}]}"#, PageError::MissingMember("start_time")),
        (r#"{"data":[],"data":[]}"#, PageError::DuplicateMember("data")),
        (r#"{"data":[{"results":[],"result":[]}]}"#, PageError::DuplicateMember("results")),
        (r#"{"data":[{"start_time":1,"start_time":1}]}"#, PageError::DuplicateMember("start_time")),
        (r#"{"next_page":"a","next_page":"b"}"#, PageError::DuplicateMember("next_page")),
        (r#"{"has_more":null,"has_more":true}"#, PageError::DuplicateMember("has_more")),
    ] {
        assert_eq!(parse(Provider::OpenAi, page), Err(error), "{page}");
    }
}

#[test]
fn amounts_that_are_invalid_are_errors_of_their_row() {
    let digits = "9".repeat(101);
    for (value, error) in [
        ("1e-100000000", AmountError::ExponentTooLarge),
        (r#""1e-100000000""#, AmountError::ExponentTooLarge),
        (digits.as_str(), AmountError::TooManyDigits),
        (r#""1,5""#, AmountError::NotDecimal),
        (r#""""#, AmountError::NotDecimal),
        ("true", AmountError::NotDecimal),
        ("[1]", AmountError::NotDecimal),
        (r#"{"value":1}"#, AmountError::NotDecimal),
    ] {
        let row = format!(r#"{{"amount":{{"value":{value},"currency":"usd"}}}}"#);
        assert_eq!(parse(Provider::OpenAi, &page_with_rows(&row)), row_error(error.into()), "{value}");
    }
}

#[test]
fn amounts_of_each_valid_form_are_added() {
    for (value, sum) in [
        ("0E-6176", "0"),
        (r#""0.003627500000000000000000000000000000""#, "0.0036275"),
        (r#""\u0031\u002e5""#, "1.5"),
        ("-1e-7", "-0.0000001"),
    ] {
        let row = format!(r#"{{"amount":{{"value":{value},"currency":"eur"}},"api_key_id":null}}"#);
        let expected = format!("2026-11-01 Null Some(0) EUR {sum}");
        assert_eq!(parse(Provider::OpenAi, &page_with_rows(&row)), Ok((vec![expected], None)), "{value}");
    }
}

#[test]
fn rows_of_another_form_are_errors_of_their_row() {
    for (row, error) in [
        (r#"{"amount":{"value":1}}"#, RowError::NoCurrency),
        (r#"{"amount":{"value":1,"currency":null}}"#, RowError::NoCurrency),
        (r#"{"amount":{"value":1,"currency":""}}"#, RowError::NoCurrency),
        (r#"{"amount":1}"#, RowError::UnexpectedType),
        (r#"{"amount":["5","usd"]}"#, RowError::UnexpectedType),
        (r#"[{"value":5,"currency":"usd"},"key_a"]"#, RowError::UnexpectedType),
        (r#"{"api_key_id":7}"#, RowError::UnexpectedType),
        (r#"{"api_key_id":"a","api_key_id":"b"}"#, RowError::UnexpectedType),
        ("7", RowError::UnexpectedType),
    ] {
        assert_eq!(parse(Provider::OpenAi, &page_with_rows(row)), row_error(error), "{row}");
    }
    for row in [r#"{"group":{}}"#, r#"{"starting_at":"yesterday"}"#, r#"{"starting_at":null}"#] {
        let page = format!(r#"{{"data":[{row}]}}"#);
        assert_eq!(parse(Provider::Anthropic, &page), row_error(RowError::NoTime), "{row}");
    }
}

#[test]
fn value_of_more_than_the_limit_is_rejected_in_any_chunks() {
    let at_limit = "x".repeat(MAX_VALUE_LEN - 2);
    let above_limit = "x".repeat(MAX_VALUE_LEN - 1);
    for chunk_len in [2_000, 1 << 16, 1 << 22] {
        let parse_member = |text: &str| {
            let page = format!(r#"{{"skipped":"{text}","data":[]}}"#);
            parse_chunks(Provider::OpenAi, page.as_bytes().chunks(chunk_len))
        };
        assert_eq!(parse_member(&at_limit), Ok((Vec::new(), None)), "{chunk_len}");
        assert_eq!(parse_member(&above_limit), Err(PageError::ValueTooLong), "{chunk_len}");
    }
}

#[test]
fn skipped_member_may_be_nested_deeply() {
    let depth = 100_000;
    let page = format!(r#"{{"data":[],"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(parse_chunks(Provider::OpenAi, [page.as_bytes()]), Ok((Vec::new(), None)));
}

#[test]
fn rows_without_amount_are_counted() {
    let query = query(Provider::OpenAi);
    let mut texts = Texts::default();
    let mut parser =
        PageParser::new(PageAccumulator::new(CostApi::of(Provider::OpenAi), None, &query, query.days));
    let rows = format!(r#"{{}},{{"amount":null}},{{"amount":{{"value":null,"currency":"usd"}}}},{ROW_A}"#);
    parser.push(page_with_rows(&rows).as_bytes(), &mut texts).unwrap();
    assert_eq!(parser.row_count(), 4);
    assert_eq!(parser.finish(&mut texts).unwrap().sums.rows_without_amount, 3);
}

#[test]
fn rows_without_the_member_of_a_group_are_counted() {
    let query = query(Provider::OpenAi);
    let mut texts = Texts::default();
    let mut parser =
        PageParser::new(PageAccumulator::new(CostApi::of(Provider::OpenAi), None, &query, query.days));
    let rows = format!(r#"{{"amount":{{"value":1,"currency":"usd"}}}},{ROW_A}"#);
    parser.push(page_with_rows(&rows).as_bytes(), &mut texts).unwrap();
    assert_eq!(parser.finish(&mut texts).unwrap().incomplete_rows, 1);
}
