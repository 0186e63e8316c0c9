//! The thread that reloads the files.

use super::*;
use crate::names::watch::reloader::{MAX_DELAY, PARTS, pause_after};
use std::time::Instant;

#[test]
fn replaced_map_stays_until_the_content_changes() {
    let (_folder, file) = one_file();
    let (mut reloader, store, names) = reloader(&file);
    let mut reload = || {
        reloader.reload(&store);
        (names.snapshot().name("a").map(str::to_owned), names.status())
    };
    names.replace(crate::KeyNames::new([("a", "ours")]).unwrap());
    assert_eq!(names.status().source, "memory");
    save_by_rename(&file, &map("one"));
    assert_eq!(reload().0.as_deref(), Some("ours"));
    fs::write(&file, "{").unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.last_error.is_some()), (Some("ours"), true));
    fs::write(&file, map("one")).unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.generation, status.last_error), (Some("ours"), 2, None));
    fs::write(&file, map("two")).unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.generation), (Some("two"), 3));
    assert_eq!(status.source, file.display().to_string());
}

/// Sends signals without pause until the receiver is dropped.
fn send_without_pause(signals: Sender<Signal>) -> thread::JoinHandle<()> {
    thread::spawn(move || while signals.send(Signal::Changed).is_ok() {})
}

#[test]
fn busy_directory_does_not_delay_a_reading() {
    let (_folder, file) = one_file();
    let (mut reloader, _store, _names) = reloader(&file);
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
    let (mut reloader, _store, _names) = reloader(&file);
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
    let (mut reloader, _store, _names) = reloader(&file);
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
