//! The fast path: templates of the text between values, which rows repeat.
//!
//! The plain scanner finds the end of each token before it can look at the next one. A template predicts the whole text
//! up to the next value, so one comparison of vectors replaces the scan of a comma, a name, a colon and some constants.
//! Take these two rows, in `{"data":[{"results":[`:
//!
//! ```json
//! {"object":"usage.result","tokens":4812,"user_id":null,"api_key_id":"key_1"},
//! {"object":"usage.result","tokens":977,"user_id":null,"api_key_id":"key_2"}
//! ```
//!
//! In the first row each text between two values is a misprediction: it is read, and kept as a template with its meaning
//! (a [`Structure`]) and the value after it, if that is a [constant](template::is_constant). The second row finds two
//! constants again, and makes them part of longer templates. From the third row on, these templates follow each other:
//!
//! | template | value |
//! |---|---|
//! | `},{"object":"usage.result","tokens":` | a number: its end is found with SIMD |
//! | `,"user_id":null,"api_key_id":` | a string: reported to the sink with its member |
//!
//! Each template contains the templates that came after it, the most likely one first. The plain scanner reads values that
//! are not short scalars without escapes, and the last [`WINDOW`] bytes of a chunk. After [`BUDGET`] mispredictions, less
//! those that correct predictions offset, the templates pause.
//!
//! A prediction is used only where all bytes of the text are equal, and where the containers that end in it, and the one
//! around them, are of the same kinds: then the grammar gives the text the same meaning. So the templates change the speed,
//! and no result. The scanner calls only [`Templates::scan`]; without this call it reports the same events.
//!
//! A [`TemplateCache`] gives the templates of a body to the next one of the same layer. Templates contain punctuation, white
//! space, member names and constants: literals, the number 0, and strings of lower-case letters, dots and underscores, such
//! as types and units. So no template contains a key or an amount.

mod simd;
mod structure;
mod template;

use std::sync::Mutex;

use self::simd::HAS_SIMD;
use self::structure::{MAX_LEN, Structure, WINDOW, scalar_len};
use self::template::{NONE, Template};
use super::containers::MAX_SHALLOW_DEPTH;
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

/// The templates of one body so far.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    known: Vec<Template>,
    /// The template before the last value, and the one that is predicted after it.
    last: u8,
    next: u8,
    /// The mispredictions left before the next pause.
    budget: u32,
    /// The offset at which the pause ends.
    paused_until: u64,
}

impl Templates {
    pub(super) fn new() -> Self {
        Self { known: Vec::new(), last: NONE, next: NONE, budget: BUDGET, paused_until: 0 }
    }

    /// True if [`scan`](Self::scan) can start here: after a value in an object, not near the end of the chunk.
    #[inline(always)]
    pub(super) fn is_ready(&self, plain: &PlainScanner, cursor: &Cursor<'_>) -> bool {
        HAS_SIMD
            && cursor.offset() >= self.paused_until
            && plain.state == ScanState::AfterValue
            && cursor.rest.len() >= WINDOW
            && plain.containers.is_in_object() == Some(true)
            && plain.containers.depth() <= MAX_SHALLOW_DEPTH
    }

    /// Scans as many members as templates can describe. Stops after a value, or before a value that is not a scalar.
    #[inline(always)]
    pub(super) fn scan(&mut self, plain: &mut PlainScanner, cursor: &mut Cursor<'_>, sink: &mut impl Sink) {
        while self.is_ready(plain, cursor) {
            let predicted = self.follow(plain, cursor, sink);
            let Some(window) = cursor.rest.first_chunk() else { break };
            let offset = cursor.offset();
            let (structure, value_len) = if let Some(index) = predicted {
                let template = &self.known[usize::from(index)];
                self.last = index;
                self.next = template.followers[0];
                (template.structure, scalar_len(window, template.structure.len.into()))
            } else {
                let constant_len = |structure: &_| self.constant_len(structure, window);
                let read = Structure::read(window, &plain.containers, constant_len, sink);
                let Some(structure) = read else { break };
                let value_len = scalar_len(window, structure.len.into());
                self.learn(structure, window, value_len, offset);
                (structure, value_len)
            };
            let text_len = usize::from(structure.len);
            let Some(value_len) = value_len else {
                structure.enter(offset, &mut plain.containers, sink);
                plain.start_value(structure.member(offset), structure.wanted);
                cursor.advance(text_len);
                return;
            };
            structure.pass(window, value_len, offset, &mut plain.containers, sink);
            cursor.advance(text_len + value_len);
        }
        // The plain scanner reads the next text, after which no prediction is known.
        self.last = NONE;
        self.next = NONE;
    }

    /// Scans as many members as are predicted. Returns the template of a predicted text before a value that is not a scalar.
    #[inline(never)]
    fn follow(
        &mut self,
        plain: &mut PlainScanner,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink,
    ) -> Option<u8> {
        let mut run = Run { rest: cursor.rest, last: self.last.into(), next: self.next.into() };
        let end = cursor.offset() + cursor.rest.len() as u64;
        let mut predicted = None;
        while let Some((index, template, value_len)) = run.skip_simple(&self.known) {
            let structure = &template.structure;
            if !structure.fits(&plain.containers) {
                break;
            }
            let Some(value_len) = value_len else {
                predicted = Some(index as u8);
                break;
            };
            let Some(window) = run.rest.first_chunk() else { break };
            structure.pass(window, value_len, end - run.rest.len() as u64, &mut plain.containers, sink);
            let before = run.last;
            let is_row_end = !structure.is_in_one_object();
            run.advance(index, template, value_len);
            // The text that follows a row most often is the start of the next row.
            if is_row_end && let Some(before) = self.known.get_mut(before) {
                before.predict(index as u8, false);
            }
        }
        let predicted_len = cursor.rest.len() - run.rest.len();
        self.budget = BUDGET.min(self.budget + (predicted_len / BYTES_PER_MISPREDICTION) as u32);
        self.last = run.last as u8;
        self.next = run.next as u8;
        cursor.rest = run.rest;
        predicted
    }

    /// Returns the length of the constant after a text, if the last part of the text had the same constant before.
    /// Returns `None` if the sink wants the value, or if another text was predicted: rows that change are read value by value.
    fn constant_len(&self, structure: &Structure, window: &[u8; WINDOW]) -> Option<usize> {
        let last = self.known.get(usize::from(self.last));
        let is_misprediction = last.is_some_and(|last| last.followers[0] != NONE);
        if is_misprediction || structure.wanted.is_some() {
            return None;
        }
        let (text, rest) = window.split_at(structure.len.into());
        let index = self.position(&text[structure.last_part.into()..])?;
        let constant = self.known[index].constant();
        let is_repeated = !constant.is_empty() && rest.starts_with(constant);
        if is_repeated { Some(constant.len()) } else { None }
    }

    /// The index of the template with this text.
    fn position(&self, text: &[u8]) -> Option<usize> {
        // The comparison of the lengths comes first, because it is inlined and rules most templates out.
        self.known
            .iter()
            .position(|known| usize::from(known.structure.len) == text.len() && known.text() == text)
    }

    /// Keeps the template of a text that was not predicted, and predicts it after the last one.
    #[inline(never)]
    fn learn(&mut self, structure: Structure, window: &[u8; WINDOW], value_len: Option<usize>, offset: u64) {
        let known_index = self.position(&window[..structure.len.into()]);
        let index = known_index.unwrap_or_else(|| self.add(structure, window));
        self.known[index].set_constant(window, value_len.unwrap_or(0));
        // A new text of one part may be only the start of a longer text, with the constant after it.
        if known_index.is_some() || structure.last_part > 0 {
            self.predict_after_last(index);
        }
        self.last = index as u8;
        self.next = self.known[index].followers[0];
        self.budget -= 1;
        if self.budget == 0 {
            self.budget = BUDGET_AFTER_PAUSE;
            self.paused_until = offset + PAUSE;
        }
    }

    /// Adds a template and returns its index. If there are too many, the others are removed.
    fn add(&mut self, structure: Structure, window: &[u8; WINDOW]) -> usize {
        if self.known.len() == MAX_TEMPLATES {
            self.known.clear();
            self.last = NONE;
        }
        // The first allocation has room for a usual page.
        self.known.reserve(if self.known.is_empty() { 20 } else { 1 });
        self.known.push(Template::new(structure, window));
        self.known.len() - 1
    }

    /// Predicts a template after the last one.
    fn predict_after_last(&mut self, index: usize) {
        let Some(last) = self.known.get(usize::from(self.last)) else { return };
        // If the text of the first prediction continues this text, the longer text is compared first.
        let first = self.known.get(usize::from(last.followers[0]));
        let is_second = first.is_some_and(|first| first.text().starts_with(self.known[index].text()));
        self.known[usize::from(self.last)].predict(index as u8, is_second);
    }
}

/// A run of predicted members.
struct Run<'a> {
    /// The bytes after the last value.
    rest: &'a [u8],
    /// The indexes of the last template and of the predicted one.
    last: usize,
    next: usize,
}

impl Run<'_> {
    /// Moves on by the text of a template and the value after it.
    #[inline(always)]
    fn advance(&mut self, index: usize, template: &Template, value_len: usize) {
        self.last = index;
        self.next = template.followers[0].into();
        self.rest = &self.rest[(usize::from(template.structure.len) & MAX_LEN) + value_len..];
    }

    /// Skips the members that need no call of the sink. Returns the template after them, with the length of its scalar.
    /// The loop has a function of its own, because calls of the sink would take the registers that the loop needs.
    #[inline(always)]
    fn skip_simple<'t>(&mut self, known: &'t [Template]) -> Option<(usize, &'t Template, Option<usize>)> {
        loop {
            let window = self.rest.first_chunk::<WINDOW>()?;
            let (index, template) = self.predicted(known, window)?;
            match scalar_len(window, template.structure.len.into()) {
                Some(value_len) if template.structure.is_simple => self.advance(index, template, value_len),
                value_len => return Some((index, template, value_len)),
            }
        }
    }

    /// Returns the predicted template whose text is at the start of `window`, with its index.
    #[inline(always)]
    fn predicted<'t>(&self, known: &'t [Template], window: &[u8; WINDOW]) -> Option<(usize, &'t Template)> {
        let matching = |index: usize| {
            let template = known.get(index)?;
            if template.matches(window) { Some((index, template)) } else { None }
        };
        matching(self.next).or_else(|| {
            let [_, second, third] = known.get(self.last)?.followers.map(usize::from);
            matching(second).or_else(|| matching(third))
        })
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
