//! The thread that reloads the files.

use super::*;
use crate::watch::reloader::{MAX_DELAY, PARTS, pause_after};
use std::time::Instant;

/// A reloader of one file, without its thread.
fn reloader(file: &Path) -> Reloader<TextParser, fn(Reading<'_, TextParser>)> {
    let files = WatchedFile::open_all(&[file.into()], &TextParser).unwrap();
    super::reloader(files, |_| {})
}

/// Sends signals without pause until the receiver is dropped.
fn send_without_pause(signals: Sender<Signal>) -> thread::JoinHandle<()> {
    thread::spawn(move || while signals.send(Signal::Changed).is_ok() {})
}

#[test]
fn busy_directory_does_not_delay_a_reading() {
    let (_folder, file) = one_file();
    let mut reloader = reloader(&file);
    let (sender, signals) = channel();
    reloader.signals = signals;
    let noise = send_without_pause(sender);
    let (sender, result) = tokio::sync::oneshot::channel();
    thread::spawn(move || sender.send(reloader.wait_for_change(NEVER, Instant::now())));
    assert_eq!(within_deadline(result), Ok(true));
    noise.join().unwrap();
}

#[test]
fn pause_is_a_multiple_of_the_reading_up_to_the_poll_interval() {
    let short = MAX_DELAY / 10;
    assert_eq!(short + pause_after(short), short * PARTS);
    assert!([POLL_INTERVAL, Duration::MAX].iter().all(|long| pause_after(*long) == POLL_INTERVAL));
}

#[test]
fn events_do_not_shorten_the_pause() {
    let (_folder, file) = one_file();
    let mut reloader = reloader(&file);
    let (sender, signals) = channel();
    reloader.signals = signals;
    let noise = send_without_pause(sender);
    let not_before = Instant::now() + pause_after(MAX_DELAY / 10);
    assert!(reloader.wait_for_change(NEVER, not_before));
    assert!(Instant::now() >= not_before);
    drop(reloader);
    noise.join().unwrap();
}

#[test]
fn stop_signal_ends_the_pause() {
    let (_folder, file) = one_file();
    let mut reloader = reloader(&file);
    let (sender, signals) = channel();
    reloader.signals = signals;
    sender.send(Signal::Changed).unwrap();
    sender.send(Signal::Stop).unwrap();
    let (result_sender, result) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        result_sender.send(reloader.wait_for_change(Duration::ZERO, Instant::now() + NEVER))
    });
    assert_eq!(within_deadline(result), Ok(false));
}
