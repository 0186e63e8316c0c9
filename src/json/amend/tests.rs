use super::edits::{EDIT_CHARGE, Edit, Edits, NewValue};
use super::prefixes::Prefix;
use super::unmatched::MAX_UNMATCHED;
use super::*;
use crate::json::json_path;
use crate::{KeyNames, SharedKeyNames};

fn amender() -> Amender {
    let names = KeyNames::new([("key_1", "x"), ("key_2", "y")]).unwrap_or_default();
    let rules = Rules::new(2 << 20);
    Amender::new(rules, SharedKeyNames::new(names).snapshot(), Arc::default())
}

/// Pushes and scans a body in frames of this size.
fn scanned(body: &str, size: usize) -> Amender {
    let mut amender = amender();
    for frame in body.as_bytes().chunks(size) {
        amender.push(Bytes::copy_from_slice(frame));
    }
    while amender.scan_batch() {}
    amender
}

fn rest(amender: &mut Amender) -> String {
    let chunks: Vec<_> = std::iter::from_fn(|| amender.next_chunk()).collect();
    String::from_utf8_lossy(&chunks.concat()).into_owned()
}

fn unmatched(amender: &mut Amender) -> Vec<String> {
    amender.take_unmatched().into_iter().map(|(_, id)| id.into()).collect()
}

// === Output ===

#[test]
fn output_before_an_open_object_is_settled() {
    let mut amender = scanned(r#"[{"api_key_id":"key_1"},{"a":1,"api_key_id":"key_2""#, 1000);
    assert_eq!(
        rest(&mut amender),
        r#"[{"api_key_id":"key_1","api_key_name":"x"},{"a":1,"api_key_id":"key_2""#
    );
    assert_eq!((amender.counts().named, amender.edit_charge()), (1, EDIT_CHARGE));
    amender.push(Bytes::from_static(b"}]"));
    assert!(amender.scan_batch());
    assert_eq!(rest(&mut amender), r#","api_key_name":"y"}]"#);
    assert_eq!((amender.counts().named, amender.held()), (2, 0));
}

#[test]
fn output_len_of_a_finished_body_is_exact() {
    let body = r#"[{"api_key_id":"key_1"},{"api_key_name":"a long native name","api_key_id":"key_1"}]"#;
    let mut amender = scanned(body, 10);
    amender.finish();
    let (len, output) = (amender.output_len(), rest(&mut amender));
    assert_eq!(
        output,
        r#"[{"api_key_id":"key_1","api_key_name":"x"},{"api_key_name":"x","api_key_id":"key_1"}]"#
    );
    assert_eq!((len, amender.output_len()), (output.len() as u64, 0));
}

#[test]
fn body_without_an_id_is_not_scanned() {
    let mut amender = scanned(r#"{"api_key_name":"x","a":[1}"#, 5);
    amender.finish();
    assert_eq!((amender.error(), amender.scanned()), (None, 0));
    assert_eq!(rest(&mut amender), r#"{"api_key_name":"x","a":[1}"#);
}

#[test]
fn aborted_body_keeps_only_the_settled_edits() {
    let mut amender = scanned(r#"[{"api_key_id":"key_1"},{"api_key_id":"key_2""#, 1000);
    amender.abort();
    assert_eq!(rest(&mut amender), r#"[{"api_key_id":"key_1","api_key_name":"x"},{"api_key_id":"key_2""#);
}

#[test]
fn invalid_body_with_discarded_edits_is_unchanged() {
    let body = r#"[{"api_key_id":"key_1"},]"#;
    let mut amender = scanned(body, 7);
    assert_eq!(amender.error(), Some(ScanError::NotJson { offset: 24 }));
    assert!(amender.is_changed());
    amender.discard_edits();
    assert!(!amender.is_changed());
    assert_eq!((rest(&mut amender).as_str(), amender.counts()), (body, Counts::default()));
}

// === Unmatched ids ===

#[test]
fn unmatched_ids_are_listed_once_with_their_offsets() {
    let body = r#"{"data":[{"results":[{"api_key_id":"key_x"},{"api_key_id":"key_1"},{"api_key_id":"key_y"},{"api_key_id":"key_x"}]},{"odd name":{"api_key_id":"key_\u007a"}}]}"#;
    let mut amender = scanned(body, 1000);
    let (offsets, ids): (Vec<_>, Vec<_>) = amender.take_unmatched().into_iter().unzip();
    assert_eq!(ids, ["key_x", "key_y", "key_z"].map(Box::from));
    assert!(body[..offsets[0] as usize].ends_with("\"key_x\""));
    let expected = ["$.data[0].results[0]", "$.data[0].results[2]", "$.data[1][?]"];
    assert_eq!(json_path::paths(amender.buffered(), &offsets), expected);
    assert_eq!(json_path::paths(body.as_bytes().chunks(3), &offsets), expected);
    assert_eq!(amender.take_unmatched(), []);
}

#[test]
fn unmatched_ids_beyond_the_bound_are_not_kept() {
    let rows: Vec<_> = (0..1000).map(|number| format!("{{\"api_key_id\":\"x{number}\"}}")).collect();
    assert_eq!(unmatched(&mut scanned(&format!("[{}]", rows.join(",")), 10_000)).len(), MAX_UNMATCHED);
}

#[test]
fn unmatched_id_longer_than_any_in_a_map_is_not_kept() {
    let row = |number: usize, len: usize| format!("{{\"api_key_id\":\"{number:0len$}\"}}");
    let too_long = (0..300).map(|number| row(number, KeyNames::MAX_LEN + 1));
    let rows: Vec<_> = too_long.chain([row(0, KeyNames::MAX_LEN)]).collect();
    assert_eq!(
        unmatched(&mut scanned(&format!("[{}]", rows.join(",")), 10_000)),
        ["0".repeat(KeyNames::MAX_LEN)]
    );
}

// === Edits ===

#[test]
fn edit_charge_covers_the_memory_of_the_queue() {
    assert_eq!(EDIT_CHARGE, 40);
    let mut edits = Edits::new(&crate::names::Labels::default());
    for at in 1..=100_000 {
        let (prefix, value) = (Prefix::NONE, NewValue::Unchanged);
        edits.push(Edit { at, replaced: 0, prefix, value, result: None });
        // A short queue has room for a few more.
        assert!(edits.capacity() <= edits.charge() + 64 * EDIT_CHARGE, "{at}: {}", edits.capacity());
    }
}

// === Frames ===

/// The lengths of the batches of a buffer with frames of these sizes.
fn batches(sizes: &[usize]) -> Vec<usize> {
    let text: Vec<u8> = (0..150_000_u32).map(|at| at as u8).collect();
    let (mut frames, mut rest) = (FrameBuffer::default(), &text[..]);
    for size in sizes {
        let (frame, after) = rest.split_at(*size);
        frames.push(Bytes::copy_from_slice(frame));
        rest = after;
    }
    let (mut lengths, mut scanned) = (Vec::new(), Vec::new());
    while let Some(batch) = frames.next_batch() {
        lengths.push(batch.len());
        scanned.extend_from_slice(batch);
    }
    assert_eq!(scanned, text[..text.len() - rest.len()], "{sizes:?}");
    assert_eq!(frames.iter().flatten().count(), scanned.len());
    lengths
}

#[test]
fn short_frames_are_scanned_together() {
    assert_eq!(batches(&[]), [0; 0]);
    assert_eq!(batches(&[1_500; 30]), [15_000; 3]);
    assert_eq!(batches(&[2_047, 2_048, 2_047, 1]), [2_047, 2_048, 2_048]);
    assert_eq!(batches(&[1; 40_000]), [16_384, 16_384, 7_232]);
}

#[test]
fn large_frame_is_scanned_in_slices() {
    assert_eq!(batches(&[1_500, 100_000, 1_500, 1_500]), [1_500, 32_768, 32_768, 32_768, 4_696]);
}

#[test]
fn batch_is_as_long_as_the_bytes_before_it_up_to_16_kib() {
    let mut frames = FrameBuffer::default();
    (0..3).for_each(|_| frames.push(Bytes::from_static(&[b' '; 5_000])));
    assert_eq!(
        [0, 7_500, 7_501, 15_000].map(|scanned| frames.has_batch(scanned)),
        [true, true, false, false]
    );
    (0..20).for_each(|_| frames.push(Bytes::from_static(&[b' '; 5_000])));
    assert_eq!([98_616, 98_617].map(|scanned| frames.has_batch(scanned)), [true, false]);
}

#[test]
fn scan_continues_after_frames_were_taken() {
    let mut frames = FrameBuffer::default();
    frames.push(Bytes::from_static(&[b'a'; 3_000]));
    frames.push(Bytes::from_static(&[b'b'; 10]));
    assert_eq!(frames.next_batch().map(<[u8]>::len), Some(3_000));
    assert_eq!(frames.take(2_000).len(), 2_000);
    assert_eq!(frames.next_batch(), Some(&[b'b'; 10][..]));
    frames.remove(1_000);
    frames.push(Bytes::from_static(&[b'c'; 2]));
    assert_eq!(frames.next_batch(), Some(&b"cc"[..]));
    assert_eq!((frames.start, frames.len, frames.front().len()), (3_000, 12, 12));
}
