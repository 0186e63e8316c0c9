use super::*;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn map(name: &str) -> KeyNames {
    KeyNames::new([("key_a", name)]).unwrap()
}

/// A deadline for what must come: generous, since the machine may be busy.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it never came")
}

fn is_ready<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(std::pin::Pin::new(future).poll(&mut context), Poll::Ready(_))
}

#[test]
fn handles_and_snapshots_travel() {
    fn travels<T: Clone + Send + Sync + 'static>() {}
    travels::<SharedKeyNames>();
    travels::<Snapshot>();
    travels::<Status>();
    fn sends<T: Send>(_: &T) {}
    let names = SharedKeyNames::default();
    sends(&names.next_unmatched());
    sends(&names.wait_for(|_| true));
}

#[test]
fn replacing_reaches_every_clone_and_no_snapshot() {
    let names = SharedKeyNames::from(map("one"));
    let clone = names.clone();
    let before = names.snapshot();
    assert_eq!((before.generation(), before.name("key_a")), (1, Some("one")));
    clone.replace(map("two"));
    let after = names.snapshot();
    assert_eq!((after.generation(), after.name("key_a")), (2, Some("two")));
    assert_eq!((before.generation(), before.name("key_a")), (1, Some("one")));
    clone.replace(map("two"));
    assert_eq!(names.snapshot().generation(), 3, "an equal map counts as well");
}

#[test]
fn the_status_tells_what_is_held() {
    let saved = br#"{"data":[{"id":"key_a","name":"billing"},{}],"has_more":true}"#;
    let names = SharedKeyNames::new(KeyNames::from_json(saved).unwrap());
    let status = names.status();
    assert_eq!((status.generation, status.entries, &*status.source), (1, 1, "memory"));
    assert_eq!((status.left_out, status.partial), (1, true));
    assert_eq!((&status.last_error, &status.warning), (&None, &None));

    names.replace(KeyNames::default());
    let next = names.status();
    assert_eq!((next.generation, next.entries), (2, 0));
    assert_eq!((next.left_out, next.partial), (0, false));
    assert!(!format!("{names:?} {:?}", names.snapshot()).contains("billing"));
}

#[tokio::test]
async fn a_change_can_be_awaited() {
    let names = SharedKeyNames::new(map("one"));
    assert_eq!(soon(names.wait_for(|status| status.entries == 1)).await.generation, 1);

    let mut second = std::pin::pin!(names.wait_for(|status| status.generation == 2));
    assert!(!is_ready(&mut second));
    names.replace(map("two"));
    assert_eq!(soon(second).await.generation, 2);

    // The condition may use the handle itself.
    let inside = |_: &Status| names.snapshot().name("key_a") == Some("two") && names.status().entries == 1;
    soon(names.wait_for(inside)).await;
}

/// A status that has come is never ahead of the map, with many who replace at once.
#[test]
fn generations_are_counted_without_a_gap() {
    let names = SharedKeyNames::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| names.replace(map("x"))));
        }
        scope.spawn(|| {
            while names.status().generation < 801 {
                let told = names.status().generation;
                assert!(names.snapshot().generation() >= told);
            }
        });
    });
    assert_eq!(names.snapshot().generation(), 801);
}

#[test]
fn an_unmatched_id_is_news_once_a_generation() {
    let names = SharedKeyNames::default();
    assert!(names.note_unmatched(1, "key_a"));
    assert!(!names.note_unmatched(1, "key_a"));
    assert!(names.clone().note_unmatched(1, "key_b"));
    assert_eq!(names.drain_unmatched(), ["key_a", "key_b"]);
    assert!(names.drain_unmatched().is_empty());
    assert!(!names.note_unmatched(1, "key_a"), "drained is not forgotten");

    assert!(names.note_unmatched(1, "key_c"));
    names.replace(map("one"));
    assert!(names.drain_unmatched().is_empty(), "the next generation may know it");
    assert!(!names.note_unmatched(1, "key_d"), "late news of an old generation");
    assert!(names.note_unmatched(2, "key_a"));
    assert_eq!(names.drain_unmatched(), ["key_a"]);
}

#[test]
fn unmatched_ids_are_bounded() {
    let names = SharedKeyNames::default();
    let noted = (0..3000).filter(|n| names.note_unmatched(1, &n.to_string())).count();
    assert_eq!(noted, SharedKeyNames::MAX_UNMATCHED);
    assert_eq!(names.drain_unmatched().len(), 1024);
    assert!(!names.note_unmatched(1, "key_a"), "draining makes no room");
    names.replace(map("one"));
    assert!(names.note_unmatched(2, "key_b"));

    assert!(names.note_unmatched(2, &"x".repeat(256)));
    assert!(!names.note_unmatched(2, &"x".repeat(257)));
    assert!(!names.note_unmatched(2, "sk-proj-abcdefgh"));
    assert_eq!(names.drain_unmatched().len(), 2);
}

#[tokio::test]
async fn unmatched_ids_can_be_awaited() {
    let names = SharedKeyNames::default();
    {
        let mut waiting = std::pin::pin!(names.next_unmatched());
        assert!(!is_ready(&mut waiting));
        // Given up, it takes nothing with it.
    }
    let waiter = tokio::spawn({
        let names = names.clone();
        async move { names.next_unmatched().await }
    });
    tokio::task::yield_now().await;
    names.note_unmatched(1, "key_a");
    assert_eq!(soon(waiter).await.unwrap(), ["key_a"]);

    names.note_unmatched(1, "key_b");
    assert_eq!(soon(names.next_unmatched()).await, ["key_b"], "at once if there is one");
}

/// What the feeder holds of the handle does not keep it, and what the handle holds of the feeder
/// does.
#[cfg(feature = "watch")]
#[test]
fn the_feeder_lives_as_long_as_the_last_handle() {
    let feeder = Arc::new(());
    let gone = Arc::downgrade(&feeder);
    let names = SharedKeyNames::fed(Arc::new(Board::new(map("one"), "names.json")), feeder);
    let clone = names.clone();
    drop(names);
    assert!(gone.upgrade().is_some());
    assert_eq!(clone.status().source, "names.json");
    drop(clone);
    assert!(gone.upgrade().is_none());
}
