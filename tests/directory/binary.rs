//! `examples/sync_names` as a user runs it, and as a machine kills it.

use super::organization::{Fault, Organization, Project, SECRET, key};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_api_key_name::KeyNames;

/// Nothing here waits for the clock; what hangs fails after this long instead.
const DEADLINE: Duration = Duration::from_secs(60);

struct Run {
    organization: Organization,
    address: SocketAddr,
    folder: TempDir,
}

impl Run {
    async fn new(organization: Organization) -> Self {
        let address = organization.serve().await;
        Self { organization, address, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("names.json")
    }

    /// `cargo test` builds the examples beside the tests: `…/deps/directory-…` and `…/examples/sync_names`.
    fn command(&self) -> Command {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let path = profile.join("examples").join(format!("sync_names{}", std::env::consts::EXE_SUFFIX));
        assert!(
            path.is_file(),
            "the example is not built; run `cargo build --examples` with the same features"
        );
        let mut command = Command::new(path);
        for variable in
            ["OPENAI_ADMIN_KEY_FILE", "OPENAI_BASE_URL", "ANTHROPIC_ADMIN_KEY", "ANTHROPIC_BASE_URL"]
        {
            command.env_remove(variable);
        }
        command.env("OPENAI_ADMIN_KEY", SECRET).arg(self.file());
        command.args(["--base-url", &format!("http://{}/v1", self.address)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn output(&self, command: &mut Command) -> (i32, String, String) {
        let Output { status, stdout, stderr } = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert!(!format!("{stdout}{stderr}").contains(SECRET));
        (status.code().unwrap(), stdout, stderr)
    }
}

#[tokio::test]
async fn from_nothing_to_names() {
    let run = Run::new(Organization::new(250, 12_000)).await;
    let (code, stdout, stderr) = run.output(&mut run.command()).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "250 projects, 12002 keys: 11641 new, 0 renamed, 0 gone, 361 left out without a usable name\n"
    );
    // No terminal: plain lines.
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(stderr.starts_with("100 of ") && !stderr.contains('\u{1b}'), "{stderr}");
    let text = fs::read_to_string(run.file()).unwrap();
    super::assert_names(&KeyNames::from_json(text.as_bytes()).unwrap(), &run.organization);
    assert!(!text.contains(SECRET));

    let (code, stdout, _) = run.output(&mut run.command()).await;
    assert_eq!(code, 0);
    assert!(stdout.contains(": 0 new, 0 renamed, 0 gone") && stdout.contains("as it was"), "{stdout}");
}

#[tokio::test]
async fn how_it_ends_says_what_happened() {
    let run = Run::new(Organization::new(20, 200)).await;
    let path = |list: &str| format!("/v1/organization/{list}");
    run.organization.lists().always.insert(path("admin_api_keys"), Fault::Status(403));
    let (code, stdout, stderr) = run.output(&mut run.command()).await;
    assert_eq!(code, 3);
    assert!(stdout.ends_with("; 1 lists are missing\n"), "{stdout}");
    assert!(stderr.contains("missing: the list of admin keys: ") && stderr.contains("api.management.read"));

    run.organization.lists().always.insert(path("projects"), Fault::Status(401));
    let (code, _, stderr) = run.output(&mut run.command()).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("does not accept the admin key (401)"), "{stderr}");

    let asked = run.organization.requests();
    let (code, _, stderr) = run.output(run.command().env_remove("OPENAI_ADMIN_KEY")).await;
    assert_eq!((code, stderr.contains("OPENAI_ADMIN_KEY is not set")), (1, true), "{stderr}");
    let (code, _, stderr) = run.output(run.command().args(["--base-url", "nowhere"])).await;
    assert_eq!(code, 2, "given twice: {stderr}");
    let (code, _, _) = run.output(run.command().args(["--every", "0"])).await;
    assert_eq!(code, 2);
    fs::write(run.file(), "{").unwrap();
    let (code, _, stderr) = run.output(&mut run.command()).await;
    assert_eq!((code, stderr.contains("names.json:1:2: ")), (1, true), "{stderr}");
    assert_eq!(run.organization.requests(), asked, "none of these asked for anything");
}

#[tokio::test]
async fn the_key_may_stand_in_a_file_and_anthropic_has_its_own() {
    let run = Run::new(Organization::new(5, 50)).await;
    let secret = run.folder.path().join("key");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let mut command = run.command();
    command.env_remove("OPENAI_ADMIN_KEY").env("OPENAI_ADMIN_KEY_FILE", &secret);
    assert_eq!(run.output(&mut command).await.0, 0);

    let mut command = run.command();
    command.args(["--api", "anthropic"]).env("ANTHROPIC_ADMIN_KEY", SECRET);
    let (code, stdout, stderr) = run.output(&mut command).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("50 keys: 0 new"), "{stdout}");
}

#[cfg(unix)]
#[tokio::test]
async fn every_so_often_until_it_is_told_to_stop() {
    let run = Run::new(Organization::new(2, 20)).await;
    let mut process = run.command().args(["--every", "0.01"]).spawn().unwrap();
    let pages = run.organization.pages();
    timeout(DEADLINE, asked(&run.organization, 3 * pages)).await.unwrap();
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert_eq!(timeout(DEADLINE, process.wait()).await.unwrap().unwrap().code(), Some(0));
}

/// Until the organization was asked so often.
async fn asked(organization: &Organization, times: usize) {
    while organization.requests() < times {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Killed a hundred times without a warning, among its requests, while it writes and when it has written, and every
/// walk finds other names: each time there is a whole file, the one before or the one after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_it_leaves_a_whole_file() {
    let organization = Organization::default();
    for project in 0..5 {
        let keys = (0..600).map(|nth| key(format!("key_{project}_{nth:03}"), "of walk 0")).collect();
        let project = Project { id: format!("proj_{project}"), archived: false, keys };
        organization.lists().projects.push(project);
    }
    let run = Run::new(organization.clone()).await;
    assert_eq!(run.output(&mut run.command()).await.0, 0);
    let pages = organization.pages();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut seen, mut drafts, mut replaced) = (0, 0, 0);
    for walk in 1..=100 {
        for key in organization.lists().projects.iter_mut().flat_map(|project| &mut project.keys) {
            key.name = format!("of walk {walk}").into();
        }
        let (before, old) = (organization.requests(), modified(&run.file()));
        let mut process: Child = run.command().spawn().unwrap();
        let point = random.below(3);
        let request = if point == 0 { random.below(pages) + 1 } else { pages };
        timeout(DEADLINE, asked(&organization, before + request)).await.unwrap();
        if point > 0 {
            // Watched as closely as can be: there is little time between a draft and the file.
            let (file, spins) = (run.file(), random.below(4_000));
            tokio::task::spawn_blocking(move || written(&file, old, point == 2, spins)).await.unwrap();
        }
        process.kill().await.unwrap();

        let names = KeyNames::from_json(&fs::read(run.file()).unwrap()).unwrap();
        assert_eq!(names.len(), 3_000, "after walk {walk}");
        let (_, name) = names.iter().next().unwrap();
        let now: usize = name.strip_prefix("of walk ").unwrap().parse().unwrap();
        assert!(names.iter().all(|(_, other)| other == name), "after walk {walk}");
        assert!(now == seen || now == walk, "walk {walk} left {now}, before there was {seen}");
        let left = left_behind(run.folder.path());
        assert!(left.len() <= 1, "{left:?}");
        left.iter().for_each(|draft| fs::remove_file(draft).unwrap());
        drafts += left.len();
        replaced += usize::from(now == walk);
        seen = now;
    }
    // All of it happened, or the points were badly chosen.
    assert!(drafts > 0 && (1..100).contains(&replaced), "{drafts} amid writing, {replaced} after it");
}

/// Returns a short while after there is a draft; or, `to_the_end`, after that has become the file.
fn written(file: &Path, old: SystemTime, to_the_end: bool, spins: usize) {
    let begun = || !to_the_end && !left_behind(file.parent().unwrap()).is_empty();
    let end = Instant::now() + DEADLINE;
    while !begun() && modified(file) == old {
        assert!(Instant::now() < end, "it never wrote");
    }
    for _ in 0..spins {
        std::hint::spin_loop();
    }
}

fn modified(file: &Path) -> SystemTime {
    fs::metadata(file).unwrap().modified().unwrap()
}

/// The drafts in this folder.
fn left_behind(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|extension| extension == "draft")).collect()
}

/// xorshift: the same points in every run, as far as the machine allows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
