//! The subcommand `sync` as a user runs it, and killed at any point.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use test_support::organization::{InjectedFailure, Organization, SECRET, TestProject, key};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_api_key_name::KeyNames;

/// The time after which a test that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// An organization on a loopback address, and a folder for the file.
struct Setup {
    organization: Organization,
    address: SocketAddr,
    folder: TempDir,
}

impl Setup {
    async fn new(organization: Organization) -> Self {
        let address = organization.serve().await;
        Self { organization, address, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("names.json")
    }

    fn command(&self) -> Command {
        let mut command = self.command_without_base_url();
        command.args(["--base-url", &format!("http://{}/v1", self.address)]);
        command
    }

    /// A command with the keys and the base URLs of both APIs.
    fn command_of_both_apis(&self) -> Command {
        let mut command = self.command_without_base_url();
        let base = format!("http://{}/v1", self.address);
        command
            .env("ANTHROPIC_ADMIN_KEY", SECRET)
            .env("OPENAI_BASE_URL", &base)
            .env("ANTHROPIC_BASE_URL", &base);
        command
    }

    fn command_without_base_url(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api-key-name-proxy"));
        command.env_clear().env("OPENAI_ADMIN_KEY", SECRET).arg("sync").arg(self.file());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the command to its end, and returns its exit code, standard output and standard error.
    async fn output(&self, command: &mut Command) -> (i32, String, String) {
        let Output { status, stdout, stderr } = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert!(!format!("{stdout}{stderr}").contains(SECRET));
        (status.code().unwrap(), stdout, stderr)
    }
}

#[tokio::test]
async fn sync_of_a_large_organization_writes_all_names() {
    let setup = Setup::new(Organization::new(250, 12_000)).await;
    let (code, stdout, stderr) = setup.output(&mut setup.command()).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "250 projects, 12002 keys: 11641 new, 0 renamed, 0 gone, 361 left out without a usable name\n"
    );
    // Without a terminal, progress is plain lines.
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(stderr.starts_with("100 of ") && !stderr.contains('\u{1b}'), "{stderr}");
    let text = fs::read_to_string(setup.file()).unwrap();
    let names = KeyNames::from_json(text.as_bytes()).unwrap();
    let expected = setup.organization.names();
    assert_eq!(names.len(), expected.len());
    assert!(names.iter().all(|(id, name)| expected[id] == name));
    assert!(!text.contains(SECRET));

    let (code, stdout, _) = setup.output(&mut setup.command()).await;
    assert_eq!(code, 0);
    assert!(stdout.contains(": 0 new, 0 renamed, 0 gone") && stdout.contains("unchanged"), "{stdout}");
}

#[tokio::test]
async fn sync_with_missing_lists_exits_with_3_or_1() {
    let setup = Setup::new(Organization::new(20, 200)).await;
    let fail = |list: &str, status| {
        let path = format!("/v1/organization/{list}");
        setup.organization.state().always.insert(path, InjectedFailure::Status(status));
    };
    fail("admin_api_keys", 403);
    let (code, stdout, stderr) = setup.output(&mut setup.command()).await;
    assert_eq!(code, 3);
    assert!(stdout.ends_with("; 1 lists are missing\n"), "{stdout}");
    assert!(stderr.contains("missing: the list of admin keys: ") && stderr.contains("api.management.read"));

    fail("projects", 401);
    let (code, _, stderr) = setup.output(&mut setup.command()).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("does not accept the admin key (401)"), "{stderr}");
}

#[tokio::test]
async fn invalid_use_exits_with_1_or_2_before_a_request() {
    let setup = Setup::new(Organization::new(20, 200)).await;
    let (code, _, stderr) = setup.output(setup.command().env_remove("OPENAI_ADMIN_KEY")).await;
    assert_eq!((code, stderr.contains("OPENAI_ADMIN_KEY is not set")), (1, true), "{stderr}");
    let (code, _, stderr) = setup.output(setup.command().args(["--base-url", "nowhere"])).await;
    assert_eq!(code, 2, "the flag is repeated: {stderr}");
    let (code, _, _) = setup.output(setup.command().args(["--every", "0"])).await;
    assert_eq!(code, 2);
    fs::write(setup.file(), "{").unwrap();
    let (code, _, stderr) = setup.output(&mut setup.command()).await;
    assert_eq!((code, stderr.contains("names.json:1:2: ")), (1, true), "{stderr}");
    assert_eq!(setup.organization.requests(), 0);
}

#[tokio::test]
async fn invalid_base_url_in_the_environment_is_not_repeated() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-key-name-proxy"));
    command.env_clear().env("OPENAI_ADMIN_KEY", SECRET).env("OPENAI_BASE_URL", "https://user:hunter2@host");
    let output = timeout(DEADLINE, command.arg("sync").output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: the base URL ") && !stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test]
async fn key_from_a_file_is_used() {
    let setup = Setup::new(Organization::new(5, 50)).await;
    let secret = setup.folder.path().join("key");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let mut command = setup.command();
    command.env_remove("OPENAI_ADMIN_KEY").env("OPENAI_ADMIN_KEY_FILE", &secret);
    assert_eq!(setup.output(&mut command).await.0, 0);
}

#[tokio::test]
async fn anthropic_lists_are_read_with_their_own_key() {
    let setup = Setup::new(Organization::new(5, 50)).await;
    let mut command = setup.command();
    command.args(["--api", "anthropic"]).env("ANTHROPIC_ADMIN_KEY", SECRET);
    let (code, stdout, stderr) = setup.output(&mut command).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("50 keys: "), "{stdout}");
}

#[tokio::test]
async fn api_that_fails_does_not_stop_the_other_api() {
    let setup = Setup::new(Organization::new(5, 50)).await;
    let (code, stdout, stderr) = setup.output(&mut setup.command_of_both_apis()).await;
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (4, "openai:", "anthropic:"), "{stdout}");
    assert!(lines[1].starts_with("5 projects, 52 keys: ") && lines[3].starts_with("50 keys: "), "{stdout}");

    let failed = InjectedFailure::Status(403);
    setup.organization.state().always.insert("/v1/organizations/api_keys".to_owned(), failed);
    let (code, stdout, stderr) = setup.output(&mut setup.command_of_both_apis()).await;
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stdout.contains("5 projects, 52 keys: ") && stderr.contains("the list of keys: "),
        "{stdout}{stderr}"
    );
}

/// The address of one API must not receive the key of the other.
#[tokio::test]
async fn base_url_with_the_keys_of_both_apis_exits_with_1_before_any_request() {
    let setup = Setup::new(Organization::new(1, 1)).await;
    let mut command = setup.command();
    let (code, _, stderr) = setup.output(command.env("ANTHROPIC_ADMIN_KEY", SECRET)).await;
    assert_eq!((code, setup.organization.requests()), (1, 0));
    assert!(stderr.contains("add --api openai or --api anthropic"), "{stderr}");
}

#[tokio::test]
async fn sync_without_an_admin_key_exits_with_1() {
    let setup = Setup::new(Organization::new(1, 1)).await;
    for (api, reasons) in [
        (&[][..], &["OPENAI_ADMIN_KEY is not set", "ANTHROPIC_ADMIN_KEY is not set"][..]),
        (&["--api", "anthropic"], &["error: ANTHROPIC_ADMIN_KEY is not set"]),
    ] {
        let mut command = setup.command();
        let (code, _, stderr) = setup.output(command.args(api).env_remove("OPENAI_ADMIN_KEY")).await;
        assert_eq!(code, 1);
        assert!(reasons.iter().all(|reason| stderr.contains(reason)), "{stderr}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn repeated_sync_ends_at_sigterm_with_0() {
    let setup = Setup::new(Organization::new(2, 20)).await;
    let mut process = setup.command().args(["--every", "0.01"]).spawn().unwrap();
    let pages = setup.organization.pages();
    timeout(DEADLINE, wait_for_requests(&setup.organization, 3 * pages)).await.unwrap();
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert_eq!(timeout(DEADLINE, process.wait()).await.unwrap().unwrap().code(), Some(0));
}

async fn wait_for_requests(organization: &Organization, requests: usize) {
    while organization.requests() < requests {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Kills the process 100 times: during its requests, during the write, and after it. All names differ each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_killed_at_any_point_leaves_a_complete_file() {
    let organization = Organization::default();
    for project in 0..5 {
        let keys = (0..600).map(|nth| key(format!("key_{project}_{nth:03}"), "of listing 0")).collect();
        let project = TestProject {
            id: format!("proj_{project}"),
            archived: false,
            keys,
            service_accounts: Vec::new(),
        };
        organization.state().projects.push(project);
    }
    let setup = Setup::new(organization.clone()).await;
    assert_eq!(setup.output(&mut setup.command()).await.0, 0);
    let pages = organization.pages();
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    let (mut previous, mut temporaries, mut replaced) = (0, 0, 0);
    for listing in 1..=100 {
        for key in organization.state().projects.iter_mut().flat_map(|project| &mut project.keys) {
            key.name = format!("of listing {listing}").into();
        }
        let (requests, old) = (organization.requests(), modified(&setup.file()));
        let mut process: Child = setup.command().spawn().unwrap();
        let point = random.below(3);
        let request = if point == 0 { random.below(pages) + 1 } else { pages };
        timeout(DEADLINE, wait_for_requests(&organization, requests + request)).await.unwrap();
        if point > 0 {
            let (file, spins) = (setup.file(), random.below(4_000));
            tokio::task::spawn_blocking(move || wait_for_write(&file, old, point == 2, spins)).await.unwrap();
        }
        process.kill().await.unwrap();

        let names = KeyNames::from_json(&fs::read(setup.file()).unwrap()).unwrap();
        assert_eq!(names.len(), 3_000, "after listing {listing}");
        let (_, name) = names.iter().next().unwrap();
        let current: usize = name.strip_prefix("of listing ").unwrap().parse().unwrap();
        assert!(names.iter().all(|(_, other)| other == name), "after listing {listing}");
        assert!(current == previous || current == listing, "listing {listing} left {current}");
        let left = temporary_files(setup.folder.path());
        assert!(left.len() <= 1, "{left:?}");
        left.iter().for_each(|file| fs::remove_file(file).unwrap());
        temporaries += left.len();
        replaced += usize::from(current == listing);
        previous = current;
    }
    // Each kind of point was hit.
    assert!(
        temporaries > 0 && (1..100).contains(&replaced),
        "{temporaries} during, {replaced} after a write"
    );
}

/// Returns a short time after a temporary file exists, or with `to_the_end` after the file was replaced.
fn wait_for_write(file: &Path, old: SystemTime, to_the_end: bool, spins: usize) {
    let has_begun = || !to_the_end && !temporary_files(file.parent().unwrap()).is_empty();
    let end = Instant::now() + DEADLINE;
    while !has_begun() && modified(file) == old {
        assert!(Instant::now() < end, "no write within {DEADLINE:?}");
    }
    for _ in 0..spins {
        std::hint::spin_loop();
    }
}

fn modified(file: &Path) -> SystemTime {
    fs::metadata(file).unwrap().modified().unwrap()
}

fn temporary_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "draft")).collect()
}

/// A generator with a fixed seed, so that the points are the same in every run.
struct XorShift(u64);

impl XorShift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
