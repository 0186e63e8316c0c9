#![allow(missing_docs, missing_debug_implementations, clippy::unwrap_used)]
//! The work on bytes without HTTP around it, for benches; and the laws that all of it keeps, for fuzz targets and tests.
//! No promise is made for what stands here.

pub mod cases;
pub mod choices;
mod documents;
pub mod laws;
#[cfg(feature = "organization")]
pub mod organization;

use std::ops::ControlFlow;

use bytes::Bytes;

use tower_api_key_name::_internal::amend::Amender;
use tower_api_key_name::_internal::rules::{Rules, Unmatched};
use tower_api_key_name::_internal::scan::{Fault, Learnt};
use tower_api_key_name::_internal::splice::Unsent;
use tower_api_key_name::_internal::{DEFAULT_LIMIT, MEMBERS};
use tower_api_key_name::KeyNames;
use tower_api_key_name::outcome::Counts;

/// Amends a body that comes in these frames: each piece of the output goes to `write`. Settles after each
/// frame where `streams`, else at the end. Says what was counted, and whether it was JSON.
pub fn amend(
    frames: impl IntoIterator<Item = Bytes>,
    names: &KeyNames,
    streams: bool,
    write: impl FnMut(Bytes),
) -> (Counts, bool) {
    let (counts, fault) = amend_by(RULES, &Learnt::default(), frames, names, streams, write);
    (counts, fault.is_none())
}

/// The layer's own, where nothing is set.
const RULES: Rules = Rules {
    members: MEMBERS,
    unmatched: Unmatched::Unknown,
    null_as_unmatched: false,
    window: DEFAULT_LIMIT as u64,
};

/// The same by other rules, after the bodies that taught this, and teaching in its turn.
fn amend_by(
    rules: Rules,
    learnt: &Learnt,
    frames: impl IntoIterator<Item = Bytes>,
    names: &KeyNames,
    streams: bool,
    mut write: impl FnMut(Bytes),
) -> (Counts, Option<Fault>) {
    let (mut amender, mut unsent) = (Amender::new(rules), Unsent::default());
    amender.recall(learnt);
    let mut counts = Counts::default();
    let feed = |amender: &mut Amender, unsent: &Unsent| {
        if amender.fault().is_none() {
            unsent.batches(amender.scanned(), |slice| {
                amender.feed(slice, names);
                ControlFlow::Continue(())
            });
        }
    };
    let mut settle = |amender: &mut Amender, unsent: &mut Unsent| {
        amender.settle(|edit| counts.add(edit.tally));
        while let Some(piece) = unsent.next(amender, names) {
            write(piece);
        }
    };
    for frame in frames {
        unsent.push(frame);
        if streams || unsent.has_batch(amender.scanned()) {
            feed(&mut amender, &unsent);
        }
        if streams {
            settle(&mut amender, &mut unsent);
            debug_assert!(amender.fault().is_some() || unsent.len() <= rules.window);
        }
    }
    feed(&mut amender, &unsent);
    amender.finish();
    amender.teach(learnt);
    let fault = amender.fault();
    if fault.is_some() && !streams {
        amender.abandon();
    }
    settle(&mut amender, &mut unsent);
    debug_assert_eq!((unsent.len(), amender.grown(0)), (0, 0), "all that was put and cut is accounted for");
    (counts, fault)
}
