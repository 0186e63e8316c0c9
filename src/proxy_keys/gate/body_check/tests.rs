use super::*;
use crate::proxy_keys::gate::endpoints::RULES;
use crate::proxy_keys::gate::test_key::test_key;
use crate::proxy_keys::keys::PatternList;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// Checks a body at the endpoint with this path.
fn check(path: &str, body: &str) -> Result<CheckedBody, Refusal> {
    let endpoint = RULES.endpoints.iter().find(|endpoint| endpoint.path == path).unwrap();
    check_chunks(endpoint, &test_key(), &[body.as_bytes()])
}

/// Returns a body with a model and these members.
fn with_model(path: &str, members: &str) -> String {
    let model = if path == MESSAGES { "claude-1" } else { "gpt-5" };
    format!(r#"{{"model":"{model}",{members}}}"#)
}

/// Checks that bodies with these members are permitted.
fn assert_permitted(cases: &[(&str, &str)]) {
    for (path, members) in cases {
        if let Err(refusal) = check(path, &with_model(path, members)) {
            panic!("{path} {members}: {}", refusal.message());
        }
    }
}

/// Checks that bodies with these members are refused as invalid, with these texts in the messages.
fn assert_refused(cases: &[(&str, &str, &str)]) {
    for (path, members, expected) in cases {
        let refusal = check(path, &with_model(path, members)).expect_err(members);
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest, "{path} {members}");
        assert!(refusal.message().contains(expected), "{path} {members}: {}", refusal.message());
    }
}

#[test]
fn small_body_of_each_endpoint_is_permitted() {
    for (path, body) in [
        (CHAT, r#"{"model":"gpt-5","messages":[{"role":"user","content":"a"}]}"#),
        ("/v1/completions", r#"{"model":"gpt-5","prompt":"a"}"#),
        (RESPONSES, r#"{"model":"gpt-5","input":"a"}"#),
        ("/v1/responses/compact", r#"{"model":"gpt-5","input":"a"}"#),
        ("/v1/embeddings", r#"{"model":"gpt-5","input":["a"]}"#),
        ("/v1/moderations", r#"{"model":"gpt-5","input":"a"}"#),
        ("/v1/images/generations", r#"{"model":"gpt-5","prompt":"a"}"#),
        (MESSAGES, r#"{"model":"claude-1","max_tokens":9,"messages":[]}"#),
        ("/v1/messages/count_tokens", r#"{"model":"claude-1","messages":[]}"#),
    ] {
        let checked = check(path, body).unwrap();
        assert!(!checked.streams && checked.edit.is_none(), "{body}");
    }
}

#[test]
fn body_that_is_not_json_is_refused_with_the_offset() {
    for (body, offset) in [
        ("", 0),
        ("{", 1),
        ("\u{feff}{}", 0),
        (r#"{"model":"gpt-5"} x"#, 18),
        (r#"{"model":'gpt-5'}"#, 9),
        (r#"{"model":"gpt-5",}"#, 17),
        // Errors of the grammar have priority.
        (r#"{"x":1,"model":}"#, 15),
    ] {
        let refusal = check(CHAT, body).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
        let expected = format!("is not JSON: see the byte at the offset {offset}.");
        assert!(refusal.message().ends_with(&expected), "{body}: {}", refusal.message());
    }
}

#[test]
fn body_that_is_no_object_is_refused() {
    for body in ["null", "[]", r#"[{"model":"gpt-5"}]"#, r#""model""#, "1"] {
        let refusal = check(CHAT, body).unwrap_err();
        assert_eq!(refusal.message(), "The body must be a JSON object.", "{body}");
    }
}

#[test]
fn unknown_member_is_refused_by_name() {
    let long_name = "n".repeat(65);
    let longest_name = "n".repeat(10_000);
    assert_refused(&[
        (CHAT, r#""new_member":1"#, r#"The member "new_member" is not accepted."#),
        (CHAT, r#""Messages":[]"#, r#"The member "Messages" is not accepted."#),
        (CHAT, r#""":null"#, r#"The member "" is not accepted."#),
        (CHAT, r#""a\n\"b":null"#, r#"The member "a\n\"b" is not accepted."#),
        (CHAT, r#""\ud800":null"#, r#"The member "\\ud800" is not accepted."#),
        (CHAT, r#""thread":null"#, r#"The member "thread" is not accepted."#),
        ("/v1/embeddings", r#""stream":true"#, r#"The member "stream" is not accepted."#),
        (CHAT, &format!(r#""{long_name}":1"#), &format!("{}…", &long_name[..64])),
        (CHAT, &format!(r#""{longest_name}":1"#), "a name that is too long"),
    ]);
}

#[test]
fn restricted_member_is_refused_with_the_reason() {
    assert_refused(&[
        (RESPONSES, r#""previous_response_id":"resp_1""#, "It refers to a stored response."),
        (RESPONSES, r#""conversation":{"id":"conv_1"}"#, "It refers to a stored conversation."),
        (RESPONSES, r#""prompt":{"id":"pmpt_1"}"#, "It refers to a stored prompt."),
        (RESPONSES, r#""instructions":[{"type":"message"}]"#, r#""instructions" must be a string or null"#),
        ("/v1/responses/compact", r#""instructions":[]"#, r#""instructions" must be a string or null"#),
        ("/v1/images/generations", r#""svg":{}"#, "Its usage is not reported"),
        (RESPONSES, r#""prompt_cache_options":{"ttl":"24h"}"#, r#"accepts only one of [null,"30m"]"#),
        (CHAT, r#""prompt_cache_options":{"TTL":3600}"#, r#"accepts only one of [null,"30m"]"#),
        (RESPONSES, r#""background":true"#, "accepts only one of [null,false]"),
        (RESPONSES, r#""background":"false""#, "accepts only one of [null,false]"),
        (RESPONSES, r#""background":0"#, "accepts only one of [null,false]"),
        (CHAT, r#""service_tier":"flex""#, r#"accepts only one of [null,"auto","default"]"#),
        (CHAT, r#""service_tier":true"#, r#"accepts only one of"#),
        (CHAT, r#""web_search_options":{}"#, "A search has a fee"),
        (MESSAGES, r#""container":"c""#, "a stored container"),
        (MESSAGES, r#""mcp_servers":[]"#, "A server receives data"),
        (MESSAGES, r#""fallbacks":[{"model":"claude-2"}]"#, "models beside that of the request"),
        (MESSAGES, r#""thread":{"type":"create"}"#, "a stored conversation"),
        (MESSAGES, r#""service_tier":"priority""#, "Other tiers"),
        (MESSAGES, r#""speed":"fast""#, "Other speeds"),
    ]);
}

#[test]
fn restricted_member_with_an_accepted_value_is_permitted() {
    assert_permitted(&[
        (RESPONSES, r#""previous_response_id":null,"background":false,"service_tier":"auto""#),
        (RESPONSES, r#""prompt_cache_options":{"ttl":"30m"},"instructions":null"#),
        (CHAT, r#""prompt_cache_options":{"ttl":null}"#),
        (RESPONSES, r#""background":null,"service_tier":"d\u0065fault","store":true"#),
        (MESSAGES, r#""service_tier":"standard_only","speed":"standard","container":null"#),
    ]);
}

#[test]
fn top_level_member_that_occurs_twice_is_refused() {
    assert_refused(&[
        (CHAT, r#""n":1,"n":1"#, r#"The member "n" occurs twice."#),
        (CHAT, r#""model":"gpt-5""#, r#"The member "model" occurs twice."#),
        (CHAT, r#""mod\u0065l":"gpt-5""#, r#"The member "model" occurs twice."#),
        (CHAT, r#""stream":true,"stream":false"#, r#"The member "stream" occurs twice."#),
        (CHAT, r#""service_tier":null,"service_tier":null"#, r#"The member "service_tier" occurs twice."#),
    ]);
}

#[test]
fn body_nested_deeper_than_128_containers_is_refused() {
    let nested = |depth: usize| format!(r#""messages":{}{}"#, "[".repeat(depth), "]".repeat(depth));
    assert_permitted(&[(CHAT, &nested(127))]);
    assert_refused(&[(CHAT, &nested(128), "deeper than 128"), (CHAT, &nested(2000), "deeper than 128")]);
    let exempt = format!(r#""metadata":{}{}"#, "[".repeat(128), "]".repeat(128));
    assert_refused(&[(CHAT, &exempt, "deeper than 128")]);
}

#[test]
fn model_that_is_absent_or_no_string_is_refused() {
    for (body, expected) in [
        ("{}", "needs the member \"model\""),
        (r#"{"model":null}"#, "must be a string"),
        (r#"{"model":["gpt-5"]}"#, "must be a string"),
        (r#"{"messages":[{"model":"gpt-5"}]}"#, "needs the member \"model\""),
    ] {
        let refusal = check(CHAT, body).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
        assert!(refusal.message().contains(expected), "{body}: {}", refusal.message());
    }
}

#[test]
fn model_outside_the_list_of_the_key_is_not_found() {
    let long_model = "m".repeat(100_000);
    for body in [
        r#"{"model":"gpt-4"}"#,
        r#"{"model":"GPT-5"}"#,
        r#"{"model":""}"#,
        r#"{"model":"gpt-5\ud800"}"#,
        &format!(r#"{{"model":"{long_model}"}}"#),
        r#"{"model":"gpt-5","moderation":{"model":"omni-moderation-latest"}}"#,
    ] {
        let refusal = check(CHAT, body).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::ModelNotPermitted);
        assert!(refusal.message().ends_with("does not exist, or this key may not use it."));
        assert!(refusal.message().len() < 200);
    }
    assert_eq!(check(CHAT, r#"{"mod\u0065l":"gpt\u002d5"}"#).unwrap().model, "gpt-5");
    assert_permitted(&[(CHAT, r#""moderation":{"model":"gpt-5-moderation"}"#)]);
    assert_refused(&[(CHAT, r#""moderation":{"model":1}"#, "must be a string")]);
}

#[test]
fn model_of_more_than_256_bytes_is_not_found_by_a_key_with_all_models() {
    let key = ProxyKey { models: PatternList::All, ..test_key() };
    let endpoint = RULES.endpoints.iter().find(|endpoint| endpoint.path == CHAT).unwrap();
    for (length, is_permitted) in [(256, true), (257, false)] {
        let body = format!(r#"{{"model":"{}"}}"#, "m".repeat(length));
        let checked = check_chunks(endpoint, &key, &[body.as_bytes()]);
        assert_eq!(checked.is_ok(), is_permitted, "{length}");
    }
}

#[test]
fn stream_members_of_another_type_are_refused() {
    assert_refused(&[
        (CHAT, r#""stream":1"#, r#""stream" must be true, false or null"#),
        (CHAT, r#""stream":"true""#, r#""stream" must be true, false or null"#),
        (CHAT, r#""stream":[]"#, r#""stream" must be true, false or null"#),
        (CHAT, r#""stream_options":[]"#, r#""stream_options" must be an object or null"#),
        (CHAT, r#""stream_options":"a""#, r#""stream_options" must be an object or null"#),
        (CHAT, r#""stream_options":{"include_usage":1}"#, "must be true, false or null"),
        (CHAT, r#""stream_options":{"include_usage":true,"include_us\u0061ge":false}"#, "occurs twice"),
    ]);
    assert_permitted(&[
        (CHAT, r#""stream":null,"stream_options":{"include_obfuscation":1,"a":{"include_usage":2}}"#),
        (MESSAGES, r#""stream":true"#),
    ]);
}

#[test]
fn reference_to_a_stored_object_is_refused_at_any_depth() {
    assert_refused(&[
        (CHAT, r#""messages":[{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]"#, "a stored file"),
        (CHAT, r#""messages":[{"a":{"b":[[{"f\u0069le_id":"file-1"}]]}}]"#, "a stored file"),
        (CHAT, r#""messages":[{"File_ID":"file-1"}]"#, "a stored file"),
        (CHAT, r#""messages":[{"role":"assistant","audio":{"id":"audio_1"}}]"#, "a stored audio"),
        (CHAT, r#""audio":{"voice":{"id":"voice_1"}}"#, "a stored voice"),
        (RESPONSES, r#""input":[{"role":"user","content":[{"file_id":"file-1"}]}]"#, "a stored file"),
        (RESPONSES, r#""tools":[{"type":"web_search","container_id":"c"}]"#, "a stored container"),
        (RESPONSES, r#""tools":[{"type":"web_search","vector_store_ids":[]}]"#, "stored vector stores"),
        (RESPONSES, r#""tools":[{"type":"web_search","a":{"file_ids":["f"]}}]"#, "stored files"),
        (RESPONSES, r#""tools":[{"type":"web_search","skills":[{"skill_id":"s"}]}]"#, "a stored skill"),
        (RESPONSES, r#""tools":[{"type":"function","server_url":"https://a"}]"#, "an MCP server"),
        (RESPONSES, r#""tools":[{"type":"function","connector_id":"c"}]"#, "a connector"),
        (RESPONSES, r#""tools":[{"type":"function","tunnel_id":"t"}]"#, "a tunnel"),
        (RESPONSES, r#""tools":[{"type":"function","authorization":"t"}]"#, "a credential"),
        (RESPONSES, r#""prompt_cache_options":{"comparison_response_id":"r"}"#, "a stored response"),
        (MESSAGES, r#""messages":[{"content":[{"source":{"type":"file"}}]}]"#, "a stored object"),
        (
            MESSAGES,
            r#""messages":[{"content":[{"source":{"type":"url","typ\u0065":"fil\u0065"}}]}]"#,
            "a stored object",
        ),
        (
            MESSAGES,
            r#""messages":[{"content":[{"tool":{"definition":{"type":"web_search_1"}}}]}]"#,
            "a tool outside",
        ),
        (
            MESSAGES,
            r#""messages":[{"content":[{"tool":[{"definition":{"type":"bash_1"}}]}]}]"#,
            "a tool outside",
        ),
        (MESSAGES, r#""messages":[{"content":[{"source":[{"type":"FILE"}]}]}]"#, "a stored object"),
        (MESSAGES, r#""messages":[{"content":[{"type":"container_upload"}]}]"#, "a stored object"),
        (RESPONSES, r#""text":{"a":[{"type":"Item_Reference"}]}"#, "a stored object"),
        (RESPONSES, r#""moderation":{"type":"skill_reference"}"#, "a stored object"),
        (MESSAGES, r#""messages":[{"source":{"type":"container_reference"}}]"#, "a stored object"),
        (MESSAGES, r#""metadata":{},"system":[{"memory_store_id":"m"}]"#, "a stored memory"),
        (MESSAGES, r#""system":[{"vault_ids":["v"]}]"#, "stored vaults"),
        (CHAT, r#""messages":[{"content":[{"asset_pointer":"a"}]}]"#, "a stored file"),
        (MESSAGES, r#""diagnostics":{"previous_message_id":"msg_1"}"#, "a stored response"),
        // These look like the exempt members, but are at other paths.
        (CHAT, r#""messages":[{"metadata":{"file_id":"f"}}]"#, "a stored file"),
        (CHAT, r#""messages":[{"tools":[{"function":{"parameters":{"file_id":1}}}]}]"#, "a stored file"),
        (CHAT, r#""tools":[{"type":"function","function.parameters":{"file_id":1}}]"#, "a stored file"),
        (CHAT, r#""messages":[{"content":{"input":{"file_id":1}}}]"#, "a stored file"),
        (CHAT, r#""metadata":{"a":[{}]},"messages":[{"file_id":"f"}]"#, "a stored file"),
    ]);
}

#[test]
fn reference_that_is_null_is_permitted() {
    assert_permitted(&[
        (CHAT, r#""messages":[{"role":"assistant","audio":null,"file_id":null}]"#),
        (MESSAGES, r#""diagnostics":{"previous_message_id":null}"#),
    ]);
}

#[test]
fn names_in_schemas_and_arguments_are_permitted() {
    let schema = r#"{"type":"object","properties":{"file_id":{"type":"string"},"model":1,"container":[{"file_id":1}]}}"#;
    for (path, before, after) in [
        (CHAT, r#""tools":[{"type":"function","function":{"name":"f","parameters":"#, "}}]"),
        (CHAT, r#""functions":[{"name":"f","parameters":"#, "}]"),
        (CHAT, r#""response_format":{"type":"json_schema","json_schema":"#, "}"),
        (CHAT, r#""metadata":"#, ""),
        (RESPONSES, r#""tools":[{"type":"function","parameters":"#, "}]"),
        (RESPONSES, r#""tools":[{"type":"function","output_schema":"#, "}]"),
        (RESPONSES, r#""text":{"format":{"type":"json_schema","schema":"#, "}}"),
        (MESSAGES, r#""tools":[{"name":"f","input_schema":"#, "}]"),
        (MESSAGES, r#""tools":[{"name":"f","input_examples":["#, "]}]"),
        (MESSAGES, r#""output_config":{"format":{"schema":"#, "}}"),
        (MESSAGES, r#""output_format":{"schema":"#, "}"),
        (MESSAGES, r#""messages":[{"content":[{"type":"tool_use","input":"#, "}]}]"),
    ] {
        assert_permitted(&[(path, &format!("{before}{schema}{after}"))]);
    }
}

#[test]
fn unknown_members_below_the_top_level_are_permitted() {
    assert_permitted(&[
        (CHAT, r#""messages":[{"role":"new","new":{"id":1},"content":[{"id":"a","id":"b"}],"call_id":"c"}]"#),
        (CHAT, r#""tools":[{"type":"function","new":1}],"messages":[{"\ud800":"\udc00"}]"#),
    ]);
}

#[test]
fn tool_of_the_client_is_permitted() {
    assert_permitted(&[
        (CHAT, r#""tools":[{"type":"function","function":{"name":"f"}},{"custom":{},"type":"custom"}]"#),
        (CHAT, r#""tools":null"#),
        (RESPONSES, r#""tools":[{"type":"web_search"},{"type":"web_search_preview"}]"#),
        (MESSAGES, r#""tools":[{"name":"a"},{"type":"custom"},{"type":null},{"type":"bash_20250124"}]"#),
        (MESSAGES, r#""tools":[{"type":"web_search_20250305"}]"#),
    ]);
}

#[test]
fn tool_that_the_key_may_not_use_is_refused() {
    let listed =
        r#"this key may not use the tool "image_generation". The owner of the key can add it to "tools""#;
    assert_refused(&[
        (RESPONSES, r#""tools":[{"type":"image_generation"}]"#, listed),
        (MESSAGES, r#""tools":[{"type":"web_fetch_20250910"}]"#, "this key may not use"),
        (MESSAGES, r#""tools":[{"type":"advisor_20260301"}]"#, "is accepted for no key"),
        (RESPONSES, r#""tools":[{"type":"mcp"}]"#, r#"the tool "mcp" is accepted for no key"#),
        (RESPONSES, r#""tools":[{"type":"file_search"}]"#, "is accepted for no key"),
        (RESPONSES, r#""tools":[{"type":"code_interpreter"}]"#, "is accepted for no key"),
        (MESSAGES, r#""tools":[{"type":"code_execution_20250825"}]"#, "is accepted for no key"),
        (MESSAGES, r#""tools":[{"type":"mcp_toolset"}]"#, "is accepted for no key"),
        (CHAT, r#""tools":[{"type":"web_search"}]"#, r#"the tool "web_search" is unknown"#),
        (RESPONSES, r#""tools":[{"type":"function"},{"type":"new"}]"#, r#"the tool "new" is unknown"#),
        (CHAT, r#""tools":[{"function":{"name":"f"}}]"#, r#"it has no "type""#),
        (CHAT, r#""tools":[{"type":null}]"#, r#"its "type" must be a string"#),
        (MESSAGES, r#""tools":[{"type":7}]"#, r#"its "type" must be a string"#),
        (CHAT, r#""tools":[{"type":"function","typ\u0065":"function"}]"#, r#"it has "type" twice"#),
        (MESSAGES, r#""tools":[{"type":null,"type":null}]"#, r#"it has "type" twice"#),
        (CHAT, r#""tools":{"type":"function"}"#, r#""tools" must be a list or null"#),
        (CHAT, r#""tools":["function"]"#, "it must be an object"),
        (CHAT, r#""tools":[[{"type":"function"}]]"#, "it must be an object"),
    ]);
}

#[test]
fn choice_of_a_permitted_tool_is_permitted() {
    assert_permitted(&[
        (CHAT, r#""tool_choice":"auto""#),
        (CHAT, r#""tool_choice":{"type":"function","function":{"name":"f"}}"#),
        (CHAT, r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[{"type":"function"}]}}"#),
        (RESPONSES, r#""tool_choice":{"type":"allowed_tools","tools":[{"type":"web_search"}]}"#),
        (RESPONSES, r#""tool_choice":{"type":"web_search_preview"}"#),
        (MESSAGES, r#""tool_choice":{"type":"tool","name":"f"}"#),
        (MESSAGES, r#""tool_choice":{"type":"any"}"#),
    ]);
}

#[test]
fn choice_of_a_tool_that_the_key_may_not_use_is_refused() {
    let start = r#"The member "tool_choice" is not accepted: "#;
    assert_refused(&[
        (RESPONSES, r#""tool_choice":{"type":"image_generation"}"#, &format!("{start}this key may not use")),
        (RESPONSES, r#""tool_choice":{"type":"mcp"}"#, "is accepted for no key"),
        (RESPONSES, r#""tool_choice":{"type":"auto","typ\u0065":"file_search"}"#, "is accepted for no key"),
        (
            RESPONSES,
            r#""tool_choice":{"type":"allowed_tools","tools":[{"type":"function"},{"type":"shell"}]}"#,
            r#"the tool "shell""#,
        ),
        (
            CHAT,
            r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[{"type":"web_search"}]}}"#,
            r#"the tool "web_search" is unknown"#,
        ),
        (CHAT, r#""tool_choice":{"type":["function"]}"#, "must be a string"),
        (MESSAGES, r#""tool_choice":{"type":"code_execution_20250825"}"#, "is accepted for no key"),
    ]);
}

#[test]
fn nested_model_is_refused_with_its_path() {
    for (members, path) in [
        (r#""moderation":{"model":"omni"}"#, "moderation.model"),
        (r#""messages":[{"a":{"model":"gpt-4"}}]"#, "messages[].a.model"),
    ] {
        let refusal = check(CHAT, &with_model(CHAT, members)).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::ModelNotPermitted);
        assert!(refusal.message().contains(&format!(r#" in "{path}" does"#)), "{}", refusal.message());
        let response = refusal.response(crate::names::Provider::OpenAi);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"]["param"], path);
    }
    let not_text = r#""messages":[{"model":1}]"#;
    assert_refused(&[(CHAT, not_text, r#"The member "messages[].model" must be a string."#)]);
}

#[test]
fn refused_thread_has_the_details_with_which_the_sdk_repeats_the_request() {
    let refusal = check(MESSAGES, &with_model(MESSAGES, r#""thread":{"type":"create"}"#)).unwrap_err();
    let response = refusal.response(crate::names::Provider::Anthropic);
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    let details = serde_json::json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
    assert_eq!((response.status().as_u16(), &body["error"]["details"]), (400, &details));
}

#[test]
fn item_that_contains_its_content_is_permitted() {
    assert_permitted(&[
        (
            RESPONSES,
            r#""input":[{"role":"user","content":"a"},{"type":"message","role":"user","content":[]}]"#,
        ),
        (RESPONSES, r#""input":[{"role":"assistant","content":[]}],"max_output_tokens":9"#),
        (RESPONSES, r#""input":[{"id":"msg_1","role":"assistant","content":[{}]}]"#),
        (RESPONSES, r#""input":[{"type":"computer_call","call_id":"c","actions":[1]}]"#),
        (RESPONSES, r#""input":[{"type":"computer_call","call_id":"c","action":{"type":"click"}}]"#),
        (RESPONSES, r#""input":[{"type":"web_search_call","id":"ws_1","action":{"type":"search"}}]"#),
        (
            RESPONSES,
            r#""input":[{"type":"local_shell_call","call_id":"c","action":{"env":{"file_id":"a","model":"b"}}}]"#,
        ),
        (
            RESPONSES,
            r#""input":[{"type":"function_call","id":"f","call_id":"c","name":"n","arguments":"{}"}]"#,
        ),
        (RESPONSES, r#""input":[{"type":"function_call_output","call_id":"c","output":"o"}]"#),
        (RESPONSES, r#""input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"}]"#),
        (RESPONSES, r#""input":[]"#),
        ("/v1/embeddings", r#""input":[{"id":"a"},["b"]]"#),
    ]);
}

#[test]
fn item_that_refers_to_a_stored_item_is_refused() {
    let include = r#"Send "store": false and include "reasoning.encrypted_content"."#;
    assert_refused(&[
        (RESPONSES, r#""input":[{"type":"item_reference","id":"msg_1"}]"#, "refers to a stored item"),
        (RESPONSES, r#""input":[{"id":"msg_1"}]"#, r#"an item of the type "message" needs "content""#),
        (RESPONSES, r#""input":[{"id":"msg_1","role":"user"}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"content":"a"}]"#, r#"needs "role""#),
        (RESPONSES, r#""input":[{"content":null,"role":"user"}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"a":{"content":1},"role":"user"}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"id":"msg_1","role":"assistant","content":[]}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"content":[],"role":"assistant","id":"msg_1"}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"role":"user","content":1}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"role":"user","content":{"a":1}}]"#, r#"needs "content""#),
        (RESPONSES, r#""input":[{"role":"user","content":"a","content":[]}]"#, r#"it has "content" twice"#),
        (RESPONSES, r#""input":[{"type":"computer_call","call_id":"c"}]"#, r#"needs "action or actions""#),
        (RESPONSES, r#""input":[{"type":"computer_call","call_id":"c","actions":[]}]"#, "needs"),
        (RESPONSES, r#""input":[{"type":"web_search_call","id":"w","action":{}}]"#, r#"needs "action""#),
        (RESPONSES, r#""input":[{"type":"web_search_call","id":"w","action":"a"}]"#, r#"needs "action""#),
        (RESPONSES, r#""input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}]"#, include),
        (RESPONSES, r#""input":[{"type":"reasoning","id":"rs_1","summary":[]}]"#, include),
        (RESPONSES, r#""input":[{"type":"reasoning","id":"rs_1","encrypted_content":null}]"#, include),
        (RESPONSES, r#""input":[{"type":"reasoning","id":"rs_1","encrypted_content":1}]"#, include),
        (RESPONSES, r#""input":[{"type":"compaction","id":"c_1"}]"#, include),
        (
            RESPONSES,
            r#""input":[{"type":"image_generation_call","id":"ig_1","result":"a"}]"#,
            "a stored image",
        ),
        (RESPONSES, r#""input":[{"type":"mcp_call","id":"m"}]"#, "MCP servers"),
        (RESPONSES, r#""input":[{"type":"new"}]"#, r#"the item type "new" is unknown"#),
        (RESPONSES, r#""input":[{"type":null,"id":"msg_1"}]"#, r#"its "type" must be a string"#),
        (RESPONSES, r#""input":[{"type":"message","type":"item_reference"}]"#, r#"it has "type" twice"#),
        (RESPONSES, r#""input":{"type":"item_reference"}"#, r#""input" must be a string or a list"#),
        (RESPONSES, r#""input":[["a"]]"#, "it must be an object"),
        ("/v1/responses/compact", r#""input":[{"type":"item_reference"}]"#, "refers to a stored item"),
    ]);
}
