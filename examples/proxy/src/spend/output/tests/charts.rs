use super::chart::build_charts;
use super::*;

#[test]
fn chart_has_ten_names_and_the_rest_by_day() {
    let ids: Vec<String> = (1..=12).map(|index| format!("key_{index}")).collect();
    let mut rows = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        rows.push((date(2026, 11, 2), cost(named(id, id), "usd", &(index + 1).to_string())));
    }
    rows.push((date(2026, 11, 30), cost(named("key_1", "key_1"), "usd", "0.5")));
    let charts = build_charts(&report(query(Every::Day, &[Dimension::KeyName]), &rows));
    let [dollars] = &charts[..] else { panic!("{charts:?}") };
    let names: Vec<&str> = dollars.names.iter().map(|name| name.label.as_str()).collect();
    let expected =
        ["key_12", "key_11", "key_10", "key_9", "key_8", "key_7", "key_6", "key_5", "key_4", "key_3", "rest"];
    assert_eq!(names, expected);
    assert_eq!(dollars.names[10].kind, "rest");
    assert_eq!(dollars.days.len(), 30);
    let amounts =
        |day: usize| -> Vec<String> { dollars.days[day].amounts.iter().map(Amount::to_string).collect() };
    assert_eq!(amounts(0), ["0"; 11]);
    assert_eq!(amounts(1), ["12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "3"]);
    assert_eq!(amounts(29)[10], "0.5");
}

#[test]
fn chart_is_serialized_with_kinds_and_decimal_strings() {
    let mut by_name = query(Every::Day, &[Dimension::KeyName]);
    by_name.days = DayRange { first: date(2026, 11, 1), last: date(2026, 11, 2) };
    let rows = [
        (date(2026, 11, 1), cost(named("key_1", "<script>"), "usd", "4.50")),
        (date(2026, 11, 2), cost(unnamed("key_2"), "usd", "3")),
        (date(2026, 11, 2), cost(no_id(), "usd", "2")),
        (date(2026, 11, 2), cost(NamedId::default(), "usd", "-1")),
        (date(2026, 11, 2), cost(no_id(), "eur", "1")),
    ];
    let json = serde_json::to_value(build_charts(&report(by_name, &rows))).unwrap();
    let expected = serde_json::json!([
        {
            "currency": "EUR",
            "names": [{"value": "(no key)", "kind": "null"}],
            "days": [{"start": "2026-11-01", "amounts": ["0"]}, {"start": "2026-11-02", "amounts": ["1"]}],
        },
        {
            "currency": "USD",
            "names": [
                {"value": "<script>", "kind": "text"},
                {"value": "key_2", "kind": "unnamed"},
                {"value": "(no key)", "kind": "null"},
                {"value": "(not grouped)", "kind": "absent"},
            ],
            "days": [
                {"start": "2026-11-01", "amounts": ["4.5", "0", "0", "0"]},
                {"start": "2026-11-02", "amounts": ["0", "3", "2", "-1"]},
            ],
        },
    ]);
    assert_eq!(json, expected);
}

#[test]
fn chart_of_several_dimensions_joins_their_values() {
    let mut row = cost(named("key_1", "checkout"), "usd", "1");
    row.project = no_id();
    let by_both = query(Every::Day, &[Dimension::KeyName, Dimension::ProjectName]);
    let charts = build_charts(&report(by_both, &[(date(2026, 11, 1), row)]));
    assert_eq!(charts[0].names[0].label, "checkout · (no project)");
    assert_eq!(charts[0].names[0].kind, "text");
}
