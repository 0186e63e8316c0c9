use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::names::unmatched::MAX_UNMATCHED;

fn map(name: &str) -> KeyNames {
    KeyNames::new([("key_a", name)]).unwrap()
}

/// A deadline for an event that must occur. It is long, because the machine may be busy.
async fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("no event within 60 s")
}

fn is_ready<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(std::pin::Pin::new(future).poll(&mut context), Poll::Ready(_))
}

#[test]
fn handles_and_futures_are_send() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<SharedKeyNames>();
    is_shared::<Snapshot>();
    is_shared::<Status>();
    fn is_send<T: Send>(_: &T) {}
    let names = SharedKeyNames::default();
    is_send(&names.unmatched_ids().unwrap().recv());
    is_send(&names.wait_for(|_| true));
}

#[test]
fn replace_changes_every_clone_and_no_snapshot() {
    let names = SharedKeyNames::from(map("one"));
    let clone = names.clone();
    let before = names.snapshot();
    assert_eq!((before.generation(), before.name("key_a")), (1, Some("one")));
    clone.replace(map("two"));
    let after = names.snapshot();
    assert_eq!((after.generation(), after.name("key_a")), (2, Some("two")));
    assert_eq!((before.generation(), before.name("key_a")), (1, Some("one")));
}

#[test]
fn replace_with_an_equal_map_is_a_new_generation() {
    let names = SharedKeyNames::from(map("one"));
    names.replace(map("one"));
    assert_eq!(names.snapshot().generation(), 2);
}

#[test]
fn status_describes_the_current_map() {
    let saved = br#"{"data":[{"id":"key_a","name":"billing"},{}],"has_more":true}"#;
    let names = SharedKeyNames::new(KeyNames::from_json(saved).unwrap());
    let status = names.status();
    assert_eq!((status.generation, status.entries, &*status.source), (1, 1, "memory"));
    assert_eq!((status.left_out, status.partial), (1, true));
    #[cfg(feature = "watch")]
    assert!(status.last_error.is_none() && status.warning.is_none());

    names.replace(KeyNames::default());
    let next = names.status();
    assert_eq!((next.generation, next.entries), (2, 0));
    assert_eq!((next.left_out, next.partial), (0, false));
}

#[test]
fn debug_output_contains_no_name() {
    let names = SharedKeyNames::new(map("billing"));
    assert!(!format!("{names:?} {:?}", names.snapshot()).contains("billing"));
}

#[test]
fn snapshot_before_the_first_names_is_incomplete() {
    let names = SharedKeyNames::default();
    assert!(!names.snapshot().is_complete);
    names.replace(KeyNames::default());
    assert!(names.snapshot().is_complete);
    assert!(SharedKeyNames::new(map("one")).snapshot().is_complete);
}

#[test]
fn empty_first_map_is_incomplete_for_every_label() {
    let names = SharedKeyNames::new(KeyNames::from_json(b"{}").unwrap());
    for id_member in ["api_key_id", "project_id"] {
        assert!(!names.snapshot().is_complete_for(id_member), "{id_member}");
    }
    names.replace(KeyNames::from_json(b"{}").unwrap());
    for id_member in ["api_key_id", "project_id"] {
        assert!(names.snapshot().is_complete_for(id_member), "{id_member}");
    }
}

#[test]
fn snapshot_of_a_partial_map_is_incomplete() {
    let saved = br#"{"data":[{"id":"key_a","name":"billing"}],"has_more":true}"#;
    let names = SharedKeyNames::new(KeyNames::from_json(saved).unwrap());
    assert!(!names.snapshot().is_complete);
}

#[tokio::test]
async fn wait_for_returns_the_first_matching_status() {
    let names = SharedKeyNames::new(map("one"));
    assert_eq!(within_deadline(names.wait_for(|status| status.entries == 1)).await.generation, 1);

    let mut second = std::pin::pin!(names.wait_for(|status| status.generation == 2));
    assert!(!is_ready(&mut second));
    names.replace(map("two"));
    assert_eq!(within_deadline(second).await.generation, 2);
}

#[tokio::test]
async fn condition_of_wait_for_can_use_the_handle() {
    let names = SharedKeyNames::new(map("one"));
    let condition = |_: &Status| names.snapshot().name("key_a") == Some("one") && names.status().entries == 1;
    within_deadline(names.wait_for(condition)).await;
}

#[test]
fn concurrent_replacements_are_counted_without_a_gap() {
    let names = SharedKeyNames::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| names.replace(map("x"))));
        }
        scope.spawn(|| {
            while names.status().generation < 801 {
                let reported = names.status().generation;
                assert!(names.snapshot().generation() >= reported);
            }
        });
    });
    assert_eq!(names.snapshot().generation(), 801);
}

#[test]
fn unmatched_receiver_is_handed_out_once() {
    let names = SharedKeyNames::default();
    let clone = names.clone();
    assert!(clone.unmatched_ids().is_some());
    assert!(names.unmatched_ids().is_none() && clone.unmatched_ids().is_none());
}

#[test]
fn unmatched_id_is_received_once_per_generation() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    assert!(names.note_unmatched(1, "key_a"));
    assert!(!names.note_unmatched(1, "key_a"));
    assert!(names.clone().note_unmatched(1, "key_b"));
    assert_eq!(unmatched.try_recv(), ["key_a", "key_b"]);
    assert!(unmatched.try_recv().is_empty());
    assert!(!names.note_unmatched(1, "key_a"), "a received id is still known");
}

#[test]
fn new_generation_discards_unmatched_ids_of_the_old_one() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    assert!(names.note_unmatched(1, "key_c"));
    names.replace(map("one"));
    assert!(unmatched.try_recv().is_empty());
    assert!(!names.note_unmatched(1, "key_d"), "an outdated generation");
    assert!(names.note_unmatched(2, "key_c"));
    assert_eq!(unmatched.try_recv(), ["key_c"]);
}

#[test]
fn unmatched_ids_are_bounded() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    let noted = (0..3000).filter(|n| names.note_unmatched(1, &n.to_string())).count();
    assert_eq!(noted, MAX_UNMATCHED);
    assert_eq!(unmatched.try_recv().len(), 1024);
    assert!(!names.note_unmatched(1, "key_a"), "receiving makes no room");
    names.replace(map("one"));
    assert!(names.note_unmatched(2, "key_b"));
}

#[test]
fn long_or_secret_unmatched_ids_are_never_received() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    let longest = "x".repeat(256);
    assert!(names.note_unmatched(1, &longest));
    assert!(!names.note_unmatched(1, &"x".repeat(257)));
    assert!(!names.note_unmatched(1, "sk-proj-abcdefgh"));
    assert_eq!(unmatched.try_recv(), [longest]);
}

#[tokio::test]
async fn recv_waits_for_an_unmatched_id() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    let waiter = tokio::spawn(async move { (unmatched.recv().await, unmatched) });
    tokio::task::yield_now().await;
    names.note_unmatched(1, "key_a");
    let (ids, mut unmatched) = within_deadline(waiter).await.unwrap();
    assert_eq!(ids, ["key_a"]);

    names.note_unmatched(1, "key_b");
    assert_eq!(within_deadline(unmatched.recv()).await, ["key_b"]);
}

#[tokio::test]
async fn dropped_recv_loses_no_id() {
    let names = SharedKeyNames::default();
    let mut unmatched = names.unmatched_ids().unwrap();
    {
        let mut waiting = std::pin::pin!(unmatched.recv());
        assert!(!is_ready(&mut waiting));
        names.note_unmatched(1, "key_a");
    }
    assert_eq!(within_deadline(unmatched.recv()).await, ["key_a"]);
}

/// The watcher holds the store weakly, and the handle holds the watcher.
#[cfg(feature = "watch")]
#[test]
fn watcher_is_dropped_with_the_last_handle() {
    let watcher = Arc::new(());
    let dropped = Arc::downgrade(&watcher);
    let names = SharedKeyNames { watcher: Some(watcher), ..SharedKeyNames::default() };
    let clone = names.clone();
    drop(names);
    assert!(dropped.upgrade().is_some());
    drop(clone);
    assert!(dropped.upgrade().is_none());
}
