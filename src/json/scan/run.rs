//! The fast way through what pages mostly are: members with plain names and flat values, one after another, that
//! lie whole in a chunk, in the order of those before.
//!
//! From the end of a value, [`joints`](super::joints) goes over the members that come as they came before; one that
//! does not is read here. Whatever is not as usual (an array in an array, a chunk's end, an error) is left where it
//! stands, for `step` to judge.

use super::joint::{self, WINDOW};
use super::nest::SHALLOW;
use super::token::ends_number;
use super::value::{flat, scalar};
use super::{Cursor, Scanner, Sink, State};
use crate::json::wide::Wide;

impl Scanner {
    /// Whether it is at the end of a value in an object, or at the beginning of one that nobody wants, and
    /// no deeper than joints can be told of.
    #[inline(always)]
    pub(super) fn may_run(&self) -> bool {
        matches!(self.state, State::After | State::Value)
            && self.nest.in_object() == Some(true)
            && self.nest.depth <= SHALLOW
            && !self.wanted
    }

    /// From the end or the beginning of a value in an object, over as many whole members as there are. Stops
    /// where it may go no further, which may be where it began, and says whether what stands there is to be stepped over.
    #[inline(always)]
    pub(super) fn run(&mut self, wide: impl Wide, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> bool {
        let chunk = cursor.chunk;
        let mut needs_care = false;
        let mut at_value = self.state == State::Value;
        // The length of the value before `rest`, where it was read here.
        let mut passed = 0;
        let mut padded;
        'run: loop {
            // Behind the chunk's end stand zeros, which are nothing in JSON: a token that reaches into them
            // is not as usual.
            let mut rest = &chunk[cursor.at..];
            let is_end = rest.len() < WINDOW;
            if is_end {
                padded = [0; 2 * WINDOW];
                padded[..rest.len()].copy_from_slice(rest);
                rest = &padded;
            }
            // The offset of the end of `rest`.
            let end = cursor.offset() + rest.len() as u64;
            loop {
                let mut value = 0;
                if !at_value {
                    if self.joints.pauses() {
                        cursor.at = (end - cursor.base) as usize - rest.len();
                        break 'run;
                    }
                    let followed = self.joints.follow(wide, rest, end, &mut self.nest, sink);
                    if followed.value > 0 {
                        passed = followed.value;
                        rest = followed.rest;
                    }
                    let from = end - rest.len() as u64;
                    let Some(window) = rest.first_chunk::<WINDOW>() else { break };
                    let read;
                    let joint = match followed.met {
                        Some(joint) if joint.fits(&self.nest) => joint,
                        _ => {
                            let again = |joint: &_| self.joints.again(joint, window);
                            let joint = joint::read(wide, window, &self.nest, again, sink);
                            let Some(joint) = joint.filter(|joint| joint.fits(&self.nest)) else {
                                (cursor.at, needs_care) = ((from - cursor.base) as usize, true);
                                break 'run;
                            };
                            self.joints.learn(joint, window, &self.nest, is_end);
                            read = joint;
                            &read
                        }
                    };
                    if let Some(len) = scalar(wide, window, joint.len.into())
                        && joint.pass(window, len, from, &mut self.nest, sink)
                    {
                        passed = len;
                        rest = &rest[usize::from(joint.len) + passed..];
                        continue;
                    }
                    joint.enter(from, &mut self.nest, sink);
                    self.gap = from + u64::from(joint.gap);
                    if let Some(member) = joint.wanted {
                        sink.member_start(member, self.nest.depth);
                        self.name = from + u64::from(joint.name.0)..from + u64::from(joint.name.1);
                        self.colon = from + u64::from(joint.colon);
                        self.wanted = true;
                        cursor.at = (from - cursor.base) as usize + usize::from(joint.len);
                        at_value = true;
                        break 'run;
                    }
                    value = joint.len.into();
                    at_value = true;
                }
                let Some(window) = rest.first_chunk::<WINDOW>() else { break };
                // Behind a joint stands no scalar: it would have been passed with it.
                let scalar = if value == 0 { scalar(wide, window, 0) } else { None };
                passed = scalar.unwrap_or_else(|| flat(&rest[value..]));
                if passed == 0 {
                    cursor.at = (end - cursor.base) as usize - rest.len() + value;
                    break 'run;
                }
                rest = &rest[value + passed..];
                at_value = false;
            }
            cursor.at = (end - cursor.base) as usize - rest.len();
        }
        if !at_value {
            // The next member begins here at the earliest.
            self.gap = cursor.offset();
        }
        // What was taken for a number may go on.
        if !at_value && passed > 0 && !chunk.get(cursor.at).is_some_and(|byte| ends_number(*byte)) {
            cursor.at -= passed;
            at_value = true;
        }
        self.state = if at_value { State::Value } else { State::After };
        needs_care
    }
}
