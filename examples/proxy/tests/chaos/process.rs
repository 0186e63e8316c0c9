//! The proxy as a separate process, and its resources.
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::documents::LIMIT;

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

/// Resources of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Resident memory in KiB.
    pub(crate) memory: u64,
}

impl Process {
    /// Starts the proxy. Its log goes to a file in `folder`.
    pub(crate) fn start(upstream: SocketAddr, names: &Path, timeout: Duration, folder: &Path) -> Self {
        let log = folder.join("log");
        let mut child = Command::new(program())
            .env_clear()
            // Reloads would fill the log.
            .env(
                "RUST_LOG",
                "warn,api_key_name_proxy=error,api_key_name_proxy::stack::errors=warn,access=off,tower_api_key_name=error",
            )
            .args(["--port", "0", "--openai-base-url", &format!("http://{upstream}/v1")])
            .args(["--anthropic-base-url", &format!("http://{upstream}/v1")])
            .args(["--limit", &LIMIT.to_string(), "--timeout", &timeout.as_secs_f64().to_string(), "--names"])
            .arg(names)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|it| it.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line:?}: {}", fs::read_to_string(&log).unwrap()));
        Self { child, address, log }
    }

    pub(crate) fn resources(&self) -> Resources {
        let of = |what: &str| format!("/proc/{}/{what}", self.child.id());
        let status = fs::read_to_string(of("status")).expect("the proxy runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Resources {
            descriptors: fs::read_dir(of("fd")).unwrap().count(),
            threads: fs::read_dir(of("task")).unwrap().count(),
            memory: line.split_whitespace().next().unwrap().parse().unwrap(),
        }
    }

    /// Waits until the process has at most this number of descriptors.
    pub(crate) fn wait_for_descriptors(&self, descriptors: usize) -> Resources {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let resources = self.resources();
            if resources.descriptors <= descriptors {
                return resources;
            }
            assert!(Instant::now() < end, "{resources:?}, and not {descriptors} descriptors: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the last lines of the log.
    pub(crate) fn log(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// True if a thread panicked.
    pub(crate) fn panicked(&self) -> bool {
        memchr::memmem::find(&fs::read(&self.log).unwrap(), b"panicked at").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, built in the profile of this test.
fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_api-key-name-proxy").into()
}
