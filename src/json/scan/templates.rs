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
//! A text ends before the next value that is not a [constant](scalar::is_constant). Each text that was not predicted becomes
//! a template: in the first row two texts, and at the start of the second row the text between the rows. From then on,
//! these two templates follow each other:
//!
//! | template | value |
//! |---|---|
//! | `},{"object":"usage.result","tokens":` | a number: its end is found with SIMD |
//! | `,"user_id":null,"api_key_id":` | a string: reported to the sink with its member |
//!
//! Each template contains the indexes of the templates that came after it. The plain scanner reads arrays, values that are
//! not short scalars without escapes, and the last [`WINDOW`] bytes of a chunk. After [`BUDGET`] mispredictions, less those
//! that correct predictions offset, the templates pause.
//!
//! A prediction is used only where all bytes of the text are equal, and where an object that ends in it is in a container of
//! the same kind: then the grammar gives the text the same meaning. So the templates change the speed, and no result. The
//! scanner calls only [`Templates::scan`]; without this call it reports the same events.
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
use self::simd::HAS_SIMD;
use self::structure::{Structure, Window};
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
pub(super) struct Templates {
    /// The templates. The first is the [`ROOT`], unless there are none.
    known: Vec<Template>,
    /// The index of the last template that matched.
    last: usize,
    /// The mispredictions left before the next pause.
    budget: u32,
    /// The offset at which the pause ends.
    paused_until: u64,
}

impl Templates {
    pub(super) fn new() -> Self {
        Self { known: Vec::new(), last: ROOT, budget: BUDGET, paused_until: 0 }
    }

    /// True if [`scan`](Self::scan) can start here: after a value in an object, not near the end of the chunk.
    #[inline(always)]
    pub(super) fn is_ready(&self, plain: &PlainScanner, cursor: &Cursor<'_>) -> bool {
        HAS_SIMD
            && cursor.offset() >= self.paused_until
            && plain.state == ScanState::AfterValue
            && cursor.rest.len() >= WINDOW
            && plain.containers.is_in_object() == Some(true)
    }

    /// Scans the members that templates can describe. Stops after a value, before a member for the plain scanner.
    #[inline(always)]
    pub(super) fn scan(&mut self, plain: &mut PlainScanner, cursor: &mut Cursor<'_>, sink: &mut impl Sink) {
        while self.is_ready(plain, cursor) {
            self.skip_predicted(&mut plain.containers, cursor, sink);
            let is_learned = self.learn(&plain.containers, cursor, sink);
            if !is_learned {
                break;
            }
        }
    }

    /// Skips the members whose texts are predicted, and reports the wanted ones.
    #[inline(never)]
    fn skip_predicted(&mut self, containers: &mut Containers, cursor: &mut Cursor<'_>, sink: &mut impl Sink) {
        let end = cursor.offset() + cursor.rest.len() as u64;
        let mut run = Run { known: &self.known, last: self.last, rest: cursor.rest };
        while let Some(member) = run.skip_simple() {
            let offset = end - run.rest.len() as u64;
            let Some(window) = run.rest.first_chunk() else { break };
            let structure = &member.template.structure;
            if !structure.is_valid_in(containers) {
                break;
            }
            structure.report_events(window, member.value_len, offset, containers, sink);
            run.advance(&member);
        }
        let predicted_len = cursor.rest.len() - run.rest.len();
        self.budget = BUDGET.min(self.budget + (predicted_len / BYTES_PER_MISPREDICTION) as u32);
        self.last = run.last;
        cursor.rest = run.rest;
    }

    /// Makes the next text a template, and predicts it after the last one.
    ///
    /// Returns false if the plain scanner has to read the next member.
    #[inline(never)]
    fn learn(&mut self, containers: &Containers, cursor: &Cursor<'_>, sink: &mut impl Sink) -> bool {
        let Some(window) = cursor.rest.first_chunk() else { return false };
        self.budget -= 1;
        if self.budget == 0 {
            self.budget = BUDGET_AFTER_PAUSE;
            self.paused_until = cursor.offset() + PAUSE;
        }
        // Where texts vary, each ends before its first value, so that not each value needs a template of its own.
        let is_first = self.known.get(self.last).is_none_or(|last| last.followers[0] == NONE);
        let Some(structure) = Structure::parse(window, containers, is_first, sink) else { return false };
        let text = &window[..structure.len()];
        let index = match self.known.iter().position(|known| known.text() == text) {
            Some(index) => index,
            None => self.add(Template::new(structure, window)),
        };
        self.predict(index);
        true
    }

    /// Adds a template and returns its index. If there are too many, the others are removed.
    fn add(&mut self, template: Template) -> usize {
        if self.known.len() == MAX_TEMPLATES {
            self.known.clear();
            self.last = ROOT;
        }
        if self.known.is_empty() {
            // Room for the templates of a usual page.
            self.known.reserve(20);
            self.known.push(Template::new(Structure::default(), &[0; WINDOW]));
        }
        self.known.push(template);
        self.known.len() - 1
    }

    /// Predicts a template after the last one. Longer texts are compared first, because a shorter one may be their start.
    fn predict(&mut self, index: usize) {
        let len = self.known[index].structure.len();
        let mut followers = self.known[self.last].followers;
        let is_shorter = |follower: &u8| {
            self.known.get(usize::from(*follower)).is_none_or(|known| known.structure.len() <= len)
        };
        let position = followers.iter().position(is_shorter).unwrap_or(followers.len() - 1);
        followers[position..].rotate_right(1);
        followers[position] = index as u8;
        self.known[self.last].followers = followers;
    }
}

/// A run of predicted members.
struct Run<'t, 'b> {
    known: &'t [Template],
    /// The index of the last template that matched.
    last: usize,
    /// The bytes after the last value.
    rest: &'b [u8],
}

/// A member whose text is predicted.
struct PredictedMember<'t> {
    index: usize,
    template: &'t Template,
    value_len: usize,
}

impl<'t> Run<'t, '_> {
    /// Skips the members that need no call of the sink. Returns the next predicted member; `None` if there is none.
    ///
    /// The loop has a function of its own, because calls of the sink would take the registers that the loop needs.
    #[inline(always)]
    fn skip_simple(&mut self) -> Option<PredictedMember<'t>> {
        loop {
            let member = self.predicted()?;
            if !member.template.is_silent {
                return Some(member);
            }
            self.advance(&member);
        }
    }

    /// Returns the next member, if its text is predicted and its value is a short scalar.
    #[inline(always)]
    fn predicted(&self) -> Option<PredictedMember<'t>> {
        let window = self.rest.first_chunk::<WINDOW>()?;
        let followers = self.known.get(self.last)?.followers;
        let matching = |index: u8| {
            let template = self.known.get(usize::from(index))?;
            if template.is_start_of(window) { Some((usize::from(index), template)) } else { None }
        };
        let (index, template) =
            matching(followers[0]).or_else(|| matching(followers[1])).or_else(|| matching(followers[2]))?;
        let value_len = scalar_len(window, template.structure.len())?;
        Some(PredictedMember { index, template, value_len })
    }

    /// Moves on behind a member.
    #[inline(always)]
    fn advance(&mut self, member: &PredictedMember<'t>) {
        self.last = member.index;
        self.rest = &self.rest[member.template.structure.len() + member.value_len..];
    }
}

/// The templates that one body leaves to the next, which probably has the same rows.
#[derive(Debug, Default)]
pub struct TemplateCache {
    templates: Mutex<Option<Templates>>,
    is_disabled: bool,
}

impl TemplateCache {
    /// A cache that turns the templates off.
    #[cfg(any(test, feature = "_internal"))]
    pub fn disabled() -> Self {
        Self { is_disabled: true, ..Self::default() }
    }

    /// Returns the cached templates. While another body uses the cache, the templates are empty.
    pub(super) fn take(&self) -> Templates {
        if self.is_disabled {
            return Templates { paused_until: u64::MAX, ..Templates::new() };
        }
        let Ok(mut cached) = self.templates.try_lock() else { return Templates::new() };
        cached.take().unwrap_or_else(Templates::new)
    }

    /// Moves the templates to the cache, unless another body uses the cache.
    pub(super) fn store(&self, templates: &mut Templates) {
        let known = std::mem::take(&mut templates.known);
        let budget = templates.budget.max(BUDGET_AFTER_PAUSE);
        if let Ok(mut cached) = self.templates.try_lock() {
            *cached = Some(Templates { known, budget, ..Templates::new() });
        }
    }
}

#[cfg(test)]
mod tests;
