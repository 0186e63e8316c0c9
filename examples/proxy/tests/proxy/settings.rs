//! The command line and the settings made of it.
use std::net::SocketAddr;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};

use api_key_name_proxy::flags::{Command, CommandLine, ServeFlags};
use api_key_name_proxy::serve::is_own;

#[test]
fn base_url_in_common_forms_is_normalized() {
    for (written, normalized) in [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://api.openai.com/", "https://api.openai.com"),
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        (" https://api.openai.com/v1\n", "https://api.openai.com"),
        ("HTTPS://api.openai.com:8443/v1", "https://api.openai.com:8443"),
        ("https://gateway.example/openai/v1//", "https://gateway.example/openai"),
        ("https://gateway.example/v1beta", "https://gateway.example/v1beta"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
    ] {
        assert_eq!(written.parse::<BaseUrl>().unwrap().to_string(), normalized, "{written:?}");
    }
}

#[test]
fn base_url_that_is_invalid_is_rejected_without_repeating_it() {
    for written in [
        "",
        "api.openai.com",
        "/v1",
        "ftp://api.openai.com",
        "https://",
        "https:///v1",
        "https://h:99999",
        "https://h:",
        "https://h:0",
        "https://h:8 0",
        "https://user:hunter2@api.openai.com/v1",
        "https://hunter2@api.openai.com",
        "https://api.openai.com/v1?api_key=hunter2",
        "https://api.openai.com/v1?",
        "https://api.openai.com/v1#hunter2",
        "sk-hunter2",
    ] {
        let error = written.parse::<BaseUrl>().expect_err(written).to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn own_address_in_each_notation_is_found() {
    let own = |bound: &str, target: &str| {
        is_own(bound.parse::<SocketAddr>().unwrap(), target.parse::<SocketAddr>().unwrap())
    };
    for (bound, target) in [
        ("127.0.0.1:18080", "127.0.0.1:18080"),
        ("127.0.0.1:18080", "0.0.0.0:18080"),
        ("127.0.0.1:18080", "[::ffff:127.0.0.1]:18080"),
        ("0.0.0.0:18080", "127.0.0.1:18080"),
        ("0.0.0.0:18080", "127.9.9.9:18080"),
        ("0.0.0.0:18080", "0.0.0.0:18080"),
        ("[::]:18080", "127.0.0.1:18080"),
        ("[::]:18080", "[::1]:18080"),
        ("[::1]:18080", "[::1]:18080"),
        ("[::1]:18080", "[::]:18080"),
    ] {
        assert!(own(bound, target), "{bound} {target}");
    }
    for (bound, target) in [
        ("127.0.0.1:18080", "127.0.0.1:18081"),
        ("127.0.0.1:18080", "127.0.0.2:18080"),
        // TEST-NET-1 (RFC 5737) belongs to no machine.
        ("127.0.0.1:18080", "192.0.2.1:18080"),
        ("0.0.0.0:18080", "192.0.2.1:18080"),
        ("[::1]:18080", "127.0.0.1:18080"),
    ] {
        assert!(!own(bound, target), "{bound} {target}");
    }
}

#[test]
fn flags_have_the_documented_variables_and_defaults() {
    let command = ServeFlags::command();
    command.clone().debug_assert();
    for (flag, env, default) in [
        ("host", Some("OPENAI_ORG_PROXY_HOST"), Some("127.0.0.1")),
        ("port", Some("OPENAI_ORG_PROXY_PORT"), Some("18080")),
        ("openai-base-url", Some("OPENAI_BASE_URL"), Some("https://api.openai.com")),
        ("timeout", Some("OPENAI_ORG_PROXY_TIMEOUT_SECONDS"), Some("60")),
        ("names", Some("OPENAI_ORG_PROXY_NAMES"), Some("names.json")),
        ("anthropic-base-url", Some("ANTHROPIC_BASE_URL"), Some("https://api.anthropic.com")),
        ("operator-listen", None, None),
        ("allowed-host", None, None),
        ("label", None, None),
        ("insert-names", None, Some("always")),
        ("name-position", None, Some("beside")),
        ("prefer", None, Some("map")),
        ("unmatched", None, Some("unknown")),
        ("max-connections", None, Some("4096")),
        ("max-in-flight", None, Some("512")),
        ("deadline", None, Some("600")),
        ("head-timeout", None, Some("10")),
        ("idle-timeout", None, Some("75")),
        ("grace", None, Some("25")),
        ("limit", None, None),
        ("total-limit", None, None),
        ("demo", None, None),
    ] {
        let argument = command.get_arguments().find(|a| a.get_long() == Some(flag)).expect(flag);
        assert_eq!(argument.get_env().map(|e| e.to_str().unwrap()), env, "{flag}");
        let values: Vec<_> = argument.get_default_values().iter().map(|v| v.to_str().unwrap()).collect();
        if flag != "demo" {
            assert_eq!(values, default.into_iter().collect::<Vec<_>>(), "{flag}");
        }
    }
}

fn parse(arguments: &[&str]) -> Result<ServeFlags, clap::Error> {
    ServeFlags::try_parse_from(["proxy"].iter().chain(arguments))
}

#[test]
fn timeouts_accept_fractions_and_reject_zero() {
    for (written, milliseconds) in
        [("60", 60_000), ("0.5", 500), ("1e1", 10_000), (".25", 250), ("0.001", 1), ("604800", 604_800_000)]
    {
        let flags = parse(&["--timeout", written]).unwrap();
        assert_eq!(flags.limits.timeout, Duration::from_millis(milliseconds));
    }
    for written in ["0", "0.0", "-1", "nan", "NaN", "inf", "1e300", "0.0001", "604801", "1m", ""] {
        let error = parse(&[&format!("--timeout={written}")]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{written}");
    }
}

#[test]
fn flags_of_the_naming_layer_become_settings() {
    for (value, unmatched) in
        [("unknown", Unmatched::Unknown), ("null", Unmatched::Null), ("omit", Unmatched::Omit)]
    {
        let flags = parse(&["--unmatched", value, "--openai-base-url=https://h"]).unwrap();
        assert_eq!(flags.settings().unwrap().unmatched, unmatched);
    }
    let flags = parse(&["--limit", "0", "--openai-base-url=https://h/v1"]).unwrap();
    let settings = flags.settings().unwrap();
    assert_eq!((settings.limit, settings.base.openai.to_string().as_str()), (Some(0), "https://h"));
    assert_eq!(settings.total_limit, None);
    let flags = parse(&["--total-limit", "268435456", "--openai-base-url=https://h"]).unwrap();
    assert_eq!(flags.settings().unwrap().total_limit, Some(256 << 20));
    for bad in [
        &["--unmatched", "x"][..],
        &["--limit", "-1"],
        &["--limit", "2MiB"],
        &["--total-limit", "-1"],
        &["--port", "65536"],
        &["x"],
        &["--max-connections", "0"],
        &["--max-in-flight", "0"],
        &["--grace", "0"],
        &["--deadline", "never"],
    ] {
        assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn command_line_without_subcommand_is_the_one_of_serve() {
    CommandLine::command().debug_assert();
    let default = CommandLine::parse_from(["proxy", "--port", "7"]);
    assert!(default.command.is_none());
    assert_eq!(default.serve.port, 7);
    let Some(Command::Serve(flags)) = CommandLine::parse_from(["proxy", "serve", "--port", "7"]).command
    else {
        panic!("not the subcommand serve");
    };
    assert_eq!(flags.port, 7);
    assert!(CommandLine::try_parse_from(["proxy", "--port", "7", "serve"]).is_err());
}

#[test]
fn names_and_labels_become_settings() {
    let flags = [
        "--label=project_id=project_name",
        "--label=apiKeyId=apiKeyName",
        "--insert-names=requested",
        "--name-position=replace",
        "--prefer=upstream",
        "--openai-base-url=https://h",
        "--anthropic-base-url=https://i/v1",
    ];
    let settings = parse(&flags).unwrap().settings().unwrap();
    let labels: Vec<_> = settings.labels.iter().collect();
    assert_eq!(labels[1..], [("project_id", "project_name"), ("apiKeyId", "apiKeyName")]);
    assert_eq!(settings.insert_names, InsertNames::Requested);
    assert_eq!(settings.name_position, NamePosition::Replace);
    assert_eq!(settings.prefer, Prefer::Upstream);
    assert_eq!(settings.base.anthropic.to_string(), "https://i");
    for bad in ["--insert-names=never", "--name-position=above", "--prefer=both"] {
        assert_eq!(parse(&[bad]).unwrap_err().exit_code(), 2, "{bad}");
    }
}

#[test]
fn readme_has_a_line_for_each_flag_and_each_label() {
    let readme = include_str!("../../README.md");
    let lines = |start: String| readme.lines().filter(|line| line.starts_with(&start)).count();
    let command = CommandLine::command();
    let mut flags = Vec::new();
    for subcommand in ["serve", "sync", "spend"] {
        let arguments = command.find_subcommand(subcommand).unwrap().get_arguments();
        flags.extend(arguments.filter_map(clap::Arg::get_long).filter(|flag| *flag != "help"));
    }
    for flag in &flags {
        // Several subcommands have some of the flags.
        let expected = flags.iter().filter(|other| *other == flag).count();
        assert_eq!(lines(format!("| `--{flag}` ")), expected, "{flag}");
    }
    for subject in ["api_key", "project", "user", "workspace", "service_account"] {
        assert_eq!(lines(format!("| `{subject}_id={subject}_name`")), 1, "{subject}");
    }
}

#[test]
fn label_that_is_invalid_is_rejected_with_the_reason() {
    for (label, reason) in [
        ("project_id", "write ID=NAME"),
        ("=project_name", "is no member name"),
        ("a b=c", "is no member name"),
        ("project_id=api_key_id", "api_key_id is used twice"),
    ] {
        let error = parse(&["--label", label]).unwrap().settings().unwrap_err();
        assert!(error.starts_with("--label: ") && error.contains(reason), "{error}");
    }
    let many = (0..16).map(|nth| format!("--label=i{nth}=n{nth}"));
    let many: Vec<_> = many.collect();
    let flags = parse(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(flags.settings().unwrap_err().contains("more than 16 labels"));
}

#[test]
fn demo_has_the_labels_of_projects_and_workspaces_unless_others_are_set() {
    let labels = |arguments: &[&str]| {
        let labels = parse(arguments).unwrap().settings().unwrap().labels;
        labels.iter().map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(labels(&["--demo"]), ["api_key_id", "project_id", "workspace_id"]);
    assert_eq!(labels(&["--demo", "--label=user_id=user_name"]), ["api_key_id", "user_id"]);
    assert_eq!(labels(&["--openai-base-url=https://h"]), ["api_key_id"]);
}
