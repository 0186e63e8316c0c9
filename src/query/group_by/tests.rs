use crate::KeyNames;
use crate::names::Labels;
use crate::query::QueryNames;

/// Rewrites a query with the label for keys.
fn rewrite(query: &str) -> Option<String> {
    let (labels, map) = (Labels::default(), KeyNames::default());
    let rewritten = crate::query::rewrite(query, &QueryNames::new(&labels, &map, query.len())).unwrap();
    rewritten.map(|rewritten| rewritten.query)
}

#[track_caller]
fn becomes(query: &str, expected: &str) {
    assert_eq!(rewrite(query).as_deref(), Some(expected), "{query}");
    assert_eq!(rewrite(expected), None, "applied twice to {query}");
}

#[track_caller]
fn stays(query: &str) {
    assert_eq!(rewrite(query), None, "{query}");
}

#[test]
fn name_in_each_list_form_becomes_the_id() {
    becomes("group_by=api_key_name", "group_by=api_key_id");
    becomes("group_by[]=api_key_name", "group_by[]=api_key_id");
    becomes("group_by%5B%5D=api_key_name", "group_by%5B%5D=api_key_id");
    becomes("group_by%5b%5d=api_key_name", "group_by%5b%5d=api_key_id");
    becomes("group_by%5B0%5D=api_key_name", "group_by%5B0%5D=api_key_id");
    becomes("group_by[12]=api_key_name", "group_by[12]=api_key_id");
    becomes("group%5Fby=api%5Fkey%5fname", "group%5Fby=api_key_id");
    becomes("group_by=a&group_by=api_key_name", "group_by=a&group_by=api_key_id");
    becomes("group_by=a,api_key_name,b", "group_by=a,api_key_id,b");
    becomes("group_by=a%2Capi_key_name%2cb", "group_by=a%2Capi_key_id%2cb");
    becomes(
        "start_time=1&group_by=project_id,api_key_name,model&limit=7&page=AAA%3D",
        "start_time=1&group_by=project_id,api_key_id,model&limit=7&page=AAA%3D",
    );
}

#[test]
fn name_beside_the_id_is_removed_with_one_separator() {
    becomes("group_by=api_key_id,api_key_name", "group_by=api_key_id");
    becomes("group_by=api_key_name,api_key_id", "group_by=api_key_id");
    becomes("group_by=api_key_name,a,api_key_id", "group_by=a,api_key_id");
    becomes("group_by=a%2Capi_key_name,b%2capi_key_id", "group_by=a,b%2capi_key_id");
    becomes("group_by=api_key_name&group_by=api_key_id", "group_by=api_key_id");
    becomes("group_by=api_key_id&group_by=api_key_name&x=1", "group_by=api_key_id&x=1");
    becomes("x=1&group_by[]=api_key_name&y=2&group_by[]=api%5Fkey_id", "x=1&y=2&group_by[]=api%5Fkey_id");
    becomes(
        "group_by[0]=api_key_id&group_by[1]=api_key_name&group_by[2]=model",
        "group_by[0]=api_key_id&group_by[2]=model",
    );
    becomes("group_by=api_key_name,api_key_name", "group_by=api_key_id");
    becomes("group_by=api_key_name&a&group_by[]=api_key_name", "group_by=api_key_id&a");
    becomes("group_by=api_key_name,api_key_name&group_by=api_key_id&", "group_by=api_key_id&");
}

#[test]
fn query_without_the_name_is_unchanged() {
    stays("");
    stays("group_by");
    stays("group_by=");
    stays("group_by=api_key_id");
    stays("group_by=api_key_id,api_key_id");
    stays("group_by=api_key_names");
    stays("group_by=api_key_nam");
    stays("group_by=API_KEY_NAME");
    stays("group_by=%61pi_key_nam%6");
    stays("Group_by=api_key_name");
    stays("group_by[=api_key_name");
    stays("group_by]=api_key_name");
    stays("group_by[a]=api_key_name");
    stays("group_by[]]=api_key_name");
    stays("group_by[][]=api_key_name");
    stays("group_bys=api_key_name");
    stays("xgroup_by=api_key_name");
    stays("models=api_key_name&x=group_by=api_key_name");
    stays("group_by=x=api_key_name");
    stays("group_by=api_key_name%00");
    stays("group_by=a%252Capi_key_name");
}

#[test]
fn bytes_outside_the_token_are_unchanged() {
    becomes(
        "a=+%20%zz%&&b=[]{}|^&group_by=api_key_name&=&c=%E2%82%AC&d",
        "a=+%20%zz%&&b=[]{}|^&group_by=api_key_id&=&c=%E2%82%AC&d",
    );
    becomes("group_by=,api_key_name,,%", "group_by=,api_key_id,,%");
    becomes("?group_by=1&group_by=%2,api_key_name", "?group_by=1&group_by=%2,api_key_id");
}
