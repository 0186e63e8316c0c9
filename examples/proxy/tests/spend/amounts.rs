//! Amounts of each form: exact sums, currencies, and rows without an amount.
use tower_api_key_name::names::Provider;

use api_key_name_proxy::spend::{Dimension, Every, SpendQuery};

use crate::organization::{FakeApi, Organization, day, november, openai_row, query, rows};

/// Serves costs of one key on 1 November.
async fn serve_amounts(amounts: &[(&str, &str)]) -> FakeApi {
    let mut organization = Organization::default();
    for (amount, currency) in amounts {
        organization =
            organization.openai_row(day("2026-11-01"), openai_row(Some("key_a"), amount, currency));
    }
    organization.serve(&[("key_a", "Alpha")]).await
}

fn by_key() -> SpendQuery {
    query(november(1, 1), Every::Day, &[Dimension::KeyName], Provider::OpenAi)
}

#[tokio::test]
async fn amounts_of_each_form_are_summed_exactly() {
    let hundred_digits = "9".repeat(100);
    let api = serve_amounts(&[
        (&hundred_digits, "usd"),
        ("1", "usd"),
        ("0E-6176", "usd"),
        (r#""0E-6176""#, "usd"),
        (r#""0.003627500000000000000000000000000000""#, "usd"),
        ("1e-7", "usd"),
        ("-2.5E+1", "usd"),
        ("25", "usd"),
    ])
    .await;
    let report = api.run(&by_key()).await;
    let zeros = "0".repeat(100);
    assert_eq!(rows(&report), [format!("2026-11-01 Alpha 1 USD 1{zeros}.0036276")]);
}

#[tokio::test]
async fn currencies_are_not_added_to_each_other() {
    let api = serve_amounts(&[("1", "usd"), ("2", "eur"), ("3", "USD")]).await;
    let report = api.run(&by_key()).await;
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 EUR 2", "2026-11-01 Alpha 1 USD 4"]);
}

#[tokio::test]
async fn invalid_amount_is_reported_with_page_and_row_and_not_retried() {
    for (amount, reason) in [
        ("1e-100000000", "the exponent of the amount is beyond 6200"),
        (r#""1e-100000000""#, "the exponent of the amount is beyond 6200"),
        ("[]", "the amount is not a decimal number"),
    ] {
        let api = Organization::default()
            .openai_row(day("2026-11-01"), openai_row(Some("key_a"), "7", "usd"))
            .openai_row(day("2026-11-02"), openai_row(Some("key_a"), "1", "usd"))
            .openai_row(day("2026-11-02"), openai_row(Some("key_a"), amount, "usd"))
            .serve(&[("key_a", "Alpha")])
            .await;
        let query = query(november(1, 3), Every::Total, &[Dimension::KeyName], Provider::OpenAi);
        let report = api.run(&query).await;
        let sentence = format!("OpenAI: costs from 2026-11-02 to 2026-11-03: page 2: row 2: {reason}");
        assert_eq!(report.missing_costs, [sentence]);
        assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 7"]);
        assert_eq!(api.targets().len(), 2);
    }
}

#[tokio::test]
async fn amount_with_too_many_digits_is_an_error() {
    let api = serve_amounts(&[(&"9".repeat(101), "usd")]).await;
    let report = api.run(&by_key()).await;
    assert!(
        report.missing_costs[0].ends_with("page 1: row 1: the amount has more than 100 significant digits")
    );
}

#[tokio::test]
async fn rows_without_amount_are_counted() {
    let api = Organization::default()
        .openai_row(day("2026-11-01"), r#"{"api_key_id":"key_a","amount":null}"#.to_owned())
        .openai_row(day("2026-11-01"), r#"{"api_key_id":"key_a"}"#.to_owned())
        .openai_row(day("2026-11-01"), openai_row(Some("key_a"), "1", "usd"))
        .serve(&[("key_a", "Alpha")])
        .await;
    let report = api.run(&by_key()).await;
    assert_eq!(report.rows_without_amount, 2);
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 1"]);
    assert!(report.is_complete());
}

#[tokio::test]
async fn cents_are_divided_exactly_and_list_amounts_are_ignored() {
    let group = r#""api_key_id":null,"model":"claude-x","cost_type":"tokens","token_type":"output_tokens""#;
    let api = Organization::default()
        .anthropic_row(day("2026-11-01"), group, "0.123456789")
        .anthropic_row(day("2026-11-01"), r#""model":null,"cost_type":null,"token_type":null"#, "1e2")
        .serve(&[])
        .await;
    let query = query(november(1, 1), Every::Day, &[Dimension::LineItem], Provider::Anthropic);
    assert_eq!(
        rows(&api.run(&query).await),
        ["2026-11-01 null - USD 1", "2026-11-01 claude-x, tokens, output_tokens - USD 0.00123456789"]
    );
}
