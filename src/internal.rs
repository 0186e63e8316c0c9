//! The work on bytes without HTTP around it, for benches and fuzz targets. No promise is made for what stands here.

use bytes::Bytes;

use crate::rewrite::amend::{Amender, Rules, Unmatched};
use crate::rewrite::query;
use crate::rewrite::splice::Unsent;
use crate::settings::{DEFAULT_LIMIT, MEMBERS};
use crate::{Counts, KeyNames};

/// A query in scope as the API is asked it, with ids for names, in at most `room` bytes; `None` where the layer
/// refuses it, or where it is no text, which no URI holds.
pub fn query(query: &[u8], names: &KeyNames, room: usize) -> Option<String> {
    let query = std::str::from_utf8(query).ok()?;
    let grouped = query::rewrite(query, MEMBERS).unwrap_or_else(|| query.to_owned());
    let filtered = query::names::rewrite(&grouped, names, room).ok()?;
    Some(filtered.unwrap_or(grouped))
}

/// Amends a body that comes in these frames: each piece of the output goes to `write`. Settles after each
/// frame where `streams`, else at the end. Says what was counted, and whether it was JSON.
pub fn amend(
    frames: impl IntoIterator<Item = Bytes>,
    names: &KeyNames,
    streams: bool,
    mut write: impl FnMut(Bytes),
) -> (Counts, bool) {
    let rules = Rules {
        members: MEMBERS,
        unmatched: Unmatched::Unknown,
        null_as_unmatched: false,
        window: DEFAULT_LIMIT as u64,
    };
    let (mut amender, mut unsent) = (Amender::new(rules), Unsent::default());
    let mut counts = Counts::default();
    let mut settle = |amender: &mut Amender, unsent: &mut Unsent| {
        amender.settle(names, |edit| counts.add(edit.tally));
        while let Some(piece) = unsent.next(amender, names) {
            write(piece);
        }
    };
    for frame in frames {
        amender.feed(&frame, names);
        unsent.push(frame);
        if streams {
            settle(&mut amender, &mut unsent);
        }
    }
    amender.finish();
    let valid = amender.fault().is_none();
    if !valid && !streams {
        amender.abandon();
    }
    settle(&mut amender, &mut unsent);
    (counts, valid)
}
