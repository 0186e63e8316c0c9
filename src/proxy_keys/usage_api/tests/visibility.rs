//! The rows and names that a caller sees.

use super::*;

async fn world() -> World {
    let mut calls: Vec<TestCall> = KEYS.iter().map(|(id, ..)| TestCall::chat(DAY, id)).collect();
    // A call that a key made in its former group.
    calls.push(TestCall { group: Some("h"), ..TestCall::chat(DAY, "key_group") });
    World::with_calls(&calls).await
}

fn target(query: &str) -> String {
    format!("{COMPLETIONS}?start_time={DAY}&end_time={}&{query}", DAY + 1)
}

#[tokio::test]
async fn caller_sees_the_rows_of_its_scope() {
    let world = world().await;
    for (caller, visible) in [
        ("key_own", &["key_own"][..]),
        ("key_group", &["key_group", "key_own"]),
        ("key_lone", &["key_lone"]),
        ("key_all", &["key_all", "key_group", "key_lone", "key_other", "key_own"]),
        ("operator", &["key_all", "key_group", "key_lone", "key_other", "key_own"]),
    ] {
        let results = world.results(caller, &target("group_by=api_key_id")).await;
        assert_eq!(members(&results, "api_key_id"), visible, "{caller}");
    }
}

#[tokio::test]
async fn group_scope_contains_own_rows_in_other_groups() {
    let world = world().await;
    let results = world.results("key_group", &target("group_by=project_id,api_key_id")).await;
    let rows: Vec<_> =
        results.iter().map(|row| (row["project_id"].clone(), row["api_key_id"].clone())).collect();
    let expected = [("g", "key_group"), ("g", "key_own"), ("h", "key_group")];
    assert_eq!(rows, expected.map(|(project, key)| (project.into(), key.into())));
}

#[tokio::test]
async fn rows_have_the_names_of_the_keys_file() {
    let world = world().await;
    let results = world.results("key_group", &target("group_by=api_key_name")).await;
    assert_eq!(members(&results, "api_key_name"), ["Group", "Own, EU"]);
}

#[tokio::test]
async fn filter_by_a_visible_name_selects_its_rows() {
    let world = world().await;
    for (caller, name, key) in [("key_own", "Own,+EU", "key_own"), ("operator", "Other", "key_other")] {
        let query = format!("group_by=api_key_id&api_key_names={name}");
        let results = world.results(caller, &target(&query)).await;
        assert_eq!(members(&results, "api_key_id"), [key], "{caller}");
    }
}

#[tokio::test]
async fn first_minute_with_rows_does_not_depend_on_invisible_calls() {
    let mut bodies = Vec::new();
    for invisible in [&[][..], &[DAY + 7_200], &[DAY + 10_800]] {
        let world = World::with_calls(&[TestCall::chat(DAY, "key_own")]).await;
        for at in invisible {
            world.add(&TestCall::chat(*at, "key_other")).await;
        }
        world.add(&TestCall::chat(DAY + 86_400, "key_own")).await;
        world.delete_rows(DAY + 5 * 3_600).await;
        let response = world.send("key_own", &target("bucket_width=1m")).await;
        assert_eq!(response.status(), 400);
        bodies.push(response.into_body());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

/// Returns the status, headers and body, with a placeholder in place of a quoted text.
fn show(response: &Response<Bytes>, text: &str) -> String {
    let body = String::from_utf8_lossy(response.body()).replace(&format!("'{text}'"), "…");
    let mut headers = response.headers().clone();
    headers.remove("content-length");
    format!("{} {headers:?} {body}", response.status())
}

#[tokio::test]
async fn invisible_filter_gets_the_response_to_an_absent_one() {
    let world = world().await;
    for (caller, parameter, invisible, absent) in [
        ("key_own", "api_key_names", "Group", "absent"),
        ("key_own", "api_key_names[]", "Other", "absent"),
        ("key_group", "api_key_names", "Other", "absent"),
        ("key_lone", "api_key_names[]", "Own, EU", "a, b"),
        ("key_own", "api_key_ids", "key_group", "absent"),
        ("key_group", "api_key_ids[]", "key_other", "absent"),
        ("key_own", "project_ids", "h", "absent"),
    ] {
        let query = |value: &str| target(&format!("{parameter}={}", value.replace(' ', "+")));
        let response = world.send(caller, &query(invisible)).await;
        let expected = world.send(caller, &query(absent)).await;
        assert_eq!(show(&response, invisible), show(&expected, absent), "{caller} {parameter}");
    }
}

#[tokio::test]
async fn request_without_a_valid_credential_reaches_the_inner_service() {
    let world = world().await;
    let wrong = "Bearer sk-px-0000000000000000000000000000000000000000000";
    for credential in [None, Some(wrong), Some("Bearer sk-admin-1234"), Some("Basic eDp5")] {
        let mut request = Request::get(target(""));
        if let Some(credential) = credential {
            request = request.header("authorization", credential);
        }
        let response = world.send_request(request.body(()).unwrap()).await;
        assert_eq!((response.status().as_u16(), &response.body()[..]), (404, &b"inner"[..]));
        assert_eq!(response.headers()["x-inner"], "1");
    }
}

#[tokio::test]
async fn other_methods_and_paths_reach_the_inner_service() {
    let world = world().await;
    for (method, path) in [
        ("POST", COMPLETIONS),
        ("HEAD", COMPLETIONS),
        ("OPTIONS", COSTS),
        ("GET", "/v1/organization/usage/completions/"),
        ("GET", "/v1/organization/usage/audio_speeches"),
        ("GET", "/v1/organization/projects"),
        ("GET", "/v1/models"),
    ] {
        let mut request = world.request("key_own", path);
        *request.method_mut() = method.parse().unwrap();
        let response = world.send_request(request).await;
        assert_eq!(
            response.headers().get("x-inner").map(|value| value.as_bytes()),
            Some(&b"1"[..]),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn key_in_the_header_of_anthropic_is_accepted() {
    let world = world().await;
    let credential = world.minted[0].1.key().to_owned();
    let request = Request::get(target("")).header("x-api-key", credential).body(()).unwrap();
    assert_eq!(world.send_request(request).await.status(), 200);
}
