//! The fast path: templates of the text between values, which rows repeat.
//!
//! The plain scanner finds the end of each token before it can look at the next one. A template predicts the whole text
//! up to the next value, so a few comparisons of vectors replace the scan of a comma, a name, a colon and some constants.
//! Take these two rows, in `{"data":[{"results":[`:
//!
//! ```json
//! {"object":"usage.result","tokens":4812,"user_id":null,"api_key_id":"key_1"},
//! {"object":"usage.result","tokens":977,"user_id":null,"api_key_id":"key_2"}
//! ```
//!
//! A text ends before the next value that is not a [constant](scalar::is_constant); if another text was predicted, it ends
//! before the next value. Each text that was not predicted becomes a template: in the first row two texts, and then the text
//! between the rows. From then on, two templates follow each other:
//!
//! | template | value |
//! |---|---|
//! | `},{"object":"usage.result","tokens":` | a number: its end is found with SIMD |
//! | `,"user_id":null,"api_key_id":` | a string: reported to the sink with its member |
//!
//! Each template contains the indexes of the templates that came after it. The plain scanner reads arrays, values that are
//! not short scalars without escapes, and the last [`WINDOW`] bytes of a chunk. A text that was not predicted is a
//! misprediction. After [`BUDGET`] of them, less those that correct predictions offset, the templates pause.
//!
//! A prediction is used only where all bytes of the text are equal, and where an object that ends in it is in a container of
//! the same kind: then the grammar gives the text the same meaning. So the templates change no result; the scanner calls
//! only [`Templates::scan`].
//!
//! A [`TemplateCache`] gives the templates of a body to the next one of the same layer. Templates contain punctuation, white
//! space, member names and constants: literals, the number 0, and strings of lower-case letters, dots and underscores, such
//! as types and units. So no template contains a key or an amount.

mod scalar;
mod simd;
mod structure;
mod template;

use std::sync::Mutex;

use self::scalar::scalar_len;
use self::simd::{HAS_SIMD, Window};
use self::structure::Structure;
use self::template::{NONE, Template};
use super::containers::Containers;
use super::cursor::Cursor;
use super::plain::{PlainScanner, ScanState};
use super::sink::Sink;

/// The most templates. A page of the APIs has about 15 different ones.
const MAX_TEMPLATES: usize = 64;

/// The mispredictions after which the templates pause.
const BUDGET: u32 = 48;

/// The budget after a pause: enough to learn the order of the members, if the rows have one again.
const BUDGET_AFTER_PAUSE: u32 = 8;

/// The correctly predicted bytes that offset one misprediction: about four members.
const BYTES_PER_MISPREDICTION: usize = 128;

/// The bytes that a pause lasts.
const PAUSE: u64 = 64 * 1024;

/// The bytes of a window. The plain scanner reads the last part of a chunk, which is shorter than one.
const WINDOW: usize = size_of::<Window>();

/// The index of the empty template, which is the last one before the first text of a body. It follows no other template.
const ROOT: usize = 0;

/// The templates of one body so far.
#[derive(Clone, Debug)]
pub(super) struct Templates<M> {
    /// The templates. The first is the [`ROOT`], unless there are none.
    known: Vec<Template<M>>,
    /// The index of the last template that matched.
    last: usize,
    /// The mispredictions left before the next pause.
    budget: u32,
    /// The offset at which the pause ends.
    paused_until: u64,
}

impl<M: Copy> Templates<M> {
    pub(super) fn new() -> Self {
        Self { known: Vec::new(), last: ROOT, budget: BUDGET, paused_until: 0 }
    }

    /// Creates templates that pause for the whole body.
    pub(super) fn disabled() -> Self {
        Self { paused_until: u64::MAX, ..Self::new() }
    }

    /// True if [`scan`](Self::scan) can start here: after a value in an object, not near the end of the chunk.
    #[inline(always)]
    pub(super) fn is_ready(&self, plain: &PlainScanner<M>, cursor: &Cursor<'_>) -> bool {
        HAS_SIMD
            && cursor.offset() >= self.paused_until
            && plain.state == ScanState::AfterValue
            && cursor.rest.len() >= WINDOW
            && plain.containers.is_in_object() == Some(true)
    }

    /// Scans members with short scalars: skips those whose texts are predicted, and learns the other texts. Stops
    /// behind a value, before a member that the plain scanner has to read.
    #[inline(always)]
    pub(super) fn scan(
        &mut self,
        plain: &mut PlainScanner<M>,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) {
        while self.is_ready(plain, cursor) {
            self.skip_predicted(&mut plain.containers, cursor, sink);
            // A learned text is predicted, so that the next turn skips its member.
            let is_learned = self.learn_next_text(&plain.containers, cursor, sink);
            if !is_learned {
                break;
            }
        }
    }

    /// Skips the members whose texts are predicted, and moves the cursor behind the last one. Reports the objects that end
    /// and the wanted members to the sink. The skipped bytes increase the budget.
    #[inline(never)]
    fn skip_predicted(
        &mut self,
        containers: &mut Containers,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) {
        let chunk_end = cursor.offset() + cursor.rest.len() as u64;
        let mut run = Run { known: &self.known, last: self.last, rest: cursor.rest };
        while let Some(member) = run.skip_silent() {
            let offset = chunk_end - run.rest.len() as u64;
            let Some(window) = run.rest.first_chunk() else { break };
            let structure = &member.template.structure;
            if !structure.is_valid_in(containers) {
                break;
            }
            structure.report_events(window, member.value_len, offset, containers, sink);
            run.advance(&member);
        }
        let predicted_len = cursor.rest.len() - run.rest.len();
        let new_budget = self.budget + (predicted_len / BYTES_PER_MISPREDICTION) as u32;
        self.budget = new_budget.min(BUDGET);
        self.last = run.last;
        cursor.rest = run.rest;
    }

    /// Adds the next text, which was not predicted, to the templates, and predicts it after the last template that
    /// matched. Returns true if the text is a template now, and false if the plain scanner has to read the next member.
    #[inline(never)]
    fn learn_next_text(
        &mut self,
        containers: &Containers,
        cursor: &Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> bool {
        let Some(window) = cursor.rest.first_chunk() else { return false };
        self.budget -= 1;
        if self.budget == 0 {
            self.budget = BUDGET_AFTER_PAUSE;
            self.paused_until = cursor.offset() + PAUSE;
        }
        // If another text was predicted here, the constants vary. Then the text ends before the first one, so that one
        // template serves all constants.
        let has_prediction = self.known.get(self.last).is_some_and(|last| last.followers[0] != NONE);
        let includes_constants = !has_prediction;
        let parsed = Structure::parse(window, containers, includes_constants, sink);
        let Some(structure) = parsed else { return false };
        let text = &window[..structure.len()];
        let index = match self.known.iter().position(|known| known.text() == text) {
            Some(known_index) => known_index,
            None => self.add(Template::new(structure, window)),
        };
        self.predict_after_last(index);
        true
    }

    /// Adds a template and returns its index. If there are too many templates, the others are removed.
    fn add(&mut self, template: Template<M>) -> usize {
        if self.known.len() == MAX_TEMPLATES {
            self.known.clear();
            self.last = ROOT;
        }
        if self.known.is_empty() {
            // Room for the templates of a usual page.
            self.known.reserve(20);
            self.known.push(Template::new(Structure::EMPTY, &[0; WINDOW]));
        }
        self.known.push(template);
        self.known.len() - 1
    }

    /// Inserts a template into the followers of the last one: the templates whose texts are predicted after that text.
    /// Longer texts are compared first, because a shorter text may be their start: `,"user_id":` is the start of
    /// `,"user_id":null,"api_key_id":`. With a template of 30 bytes, followers of 40, 20 and 10 bytes become 40, 30 and
    /// 20: the shortest is removed.
    fn predict_after_last(&mut self, index: usize) {
        let len = self.known[index].structure.len();
        let mut followers = self.known[self.last].followers;
        let mut position = 0;
        while position + 1 < followers.len()
            && let Some(follower) = self.known.get(usize::from(followers[position]))
            && follower.structure.len() > len
        {
            position += 1;
        }
        // The shorter followers move by one place, and the last of them to `position`, where it is overwritten.
        followers[position..].rotate_right(1);
        followers[position] = index as u8;
        self.known[self.last].followers = followers;
    }
}

/// A run of predicted members.
struct Run<'t, 'b, M> {
    known: &'t [Template<M>],
    /// The index of the last template that matched.
    last: usize,
    /// The bytes after the last value.
    rest: &'b [u8],
}

/// A member whose text is predicted.
struct PredictedMember<'t, M> {
    index: usize,
    template: &'t Template<M>,
    value_len: usize,
}

impl<'t, M: Copy> Run<'t, '_, M> {
    /// Skips the predicted members without events, and returns the first one with an event, which is not skipped.
    /// Returns `None` if the next member is not predicted. The loop has a function of its own, because calls of the
    /// sink would take the registers that the loop needs.
    #[inline(always)]
    fn skip_silent(&mut self) -> Option<PredictedMember<'t, M>> {
        loop {
            let member = self.next_predicted()?;
            if !member.template.is_silent {
                return Some(member);
            }
            self.advance(&member);
        }
    }

    /// Returns the next member, if its text is predicted and its value is a short scalar, and `None` otherwise.
    #[inline(always)]
    fn next_predicted(&self) -> Option<PredictedMember<'t, M>> {
        let window = self.rest.first_chunk::<WINDOW>()?;
        let index = self.matching_follower(window)?;
        let template = self.known.get(index)?;
        let value_len = scalar_len(window, template.structure.len())?;
        Some(PredictedMember { index, template, value_len })
    }

    /// Returns the index of the first follower of the last template whose text is at the start of `window`.
    #[inline(always)]
    fn matching_follower(&self, window: &Window) -> Option<usize> {
        for follower in self.known.get(self.last)?.followers {
            let index = usize::from(follower);
            // An unused place has the index of no template, and ends the search.
            if self.known.get(index)?.is_start_of(window) {
                return Some(index);
            }
        }
        None
    }

    /// Moves on behind a member.
    #[inline(always)]
    fn advance(&mut self, member: &PredictedMember<'t, M>) {
        self.last = member.index;
        self.rest = &self.rest[member.template.structure.len() + member.value_len..];
    }
}

/// The templates that one body leaves to the next, which probably has the same rows.
#[derive(Debug)]
pub struct TemplateCache<M> {
    templates: Mutex<Option<Templates<M>>>,
    is_disabled: bool,
}

impl<M> Default for TemplateCache<M> {
    fn default() -> Self {
        Self { templates: Mutex::new(None), is_disabled: false }
    }
}

impl<M: Copy> TemplateCache<M> {
    /// A cache that turns the templates off.
    #[cfg(any(test, feature = "_internal"))]
    pub fn disabled() -> Self {
        Self { is_disabled: true, ..Self::default() }
    }

    /// Returns the cached templates. While another body uses the cache, the templates are empty.
    pub(super) fn take(&self) -> Templates<M> {
        if self.is_disabled {
            return Templates::disabled();
        }
        let Ok(mut cached) = self.templates.try_lock() else { return Templates::new() };
        cached.take().unwrap_or_else(Templates::new)
    }

    /// Moves the templates to the cache, unless another body uses the cache.
    pub(super) fn store(&self, templates: &mut Templates<M>) {
        let known = std::mem::take(&mut templates.known);
        let budget = templates.budget.max(BUDGET_AFTER_PAUSE);
        if let Ok(mut cached) = self.templates.try_lock() {
            *cached = Some(Templates { known, budget, ..Templates::new() });
        }
    }
}

#[cfg(test)]
mod tests;
