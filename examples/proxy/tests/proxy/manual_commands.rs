//! The subcommands `completions` and `man`.
use crate::binary::{program, run};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn completions_for_each_shell_contain_subcommands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]).await;
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(output.stdout);
        for word in ["api-key-name-proxy", "spend", "revoke", "name-position"] {
            assert!(script.contains(word), "the script for {shell} lacks {word}");
        }
    }
}

#[tokio::test]
async fn completions_for_an_unknown_shell_are_bad_use() {
    let output = run(&["completions", "cmd"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = text(output.stderr);
    assert!(error.contains("bash, elvish, fish, powershell, zsh"), "{error}");
}

#[test]
fn man_without_a_directory_prints_the_page_without_values_of_the_environment() {
    let output = program().arg("man").env("OPENAI_BASE_URL", "https://u:hunter2@h").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let page = text(output.stdout);
    assert!(page.contains(".TH api-key-name-proxy 1"), "{page}");
    assert!(page.contains("\\fB\\-\\-name\\-position\\fR") && page.contains("OPENAI_BASE_URL"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
}

#[tokio::test]
async fn man_with_a_directory_writes_a_page_for_each_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("share/man1");
    let output = run(&["man", directory.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0));
    for name in ["api-key-name-proxy", "api-key-name-proxy-sync", "api-key-name-proxy-keys-new"] {
        let page = std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
    }
}

#[tokio::test]
async fn man_with_a_file_as_directory_fails_with_its_path() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(&["man", file.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = text(output.stderr);
    assert!(error.starts_with(&format!("error: {}: cannot write", file.path().display())), "{error}");
}
