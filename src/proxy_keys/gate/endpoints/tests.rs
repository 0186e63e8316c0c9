use super::*;

#[test]
fn file_of_endpoints_is_valid() {
    let rules: GateRules = serde_json::from_str(include_str!("../endpoints.json")).unwrap();
    assert_eq!(rules.endpoints.len(), 11);
}
