//! The fast path: templates of the text between values, which rows repeat.
//!
//! A usage page repeats the same members in the same order, row after row. The plain scanner finds the end of each
//! token before it can look at the next one. A template predicts the whole text up to the next value, so that one
//! comparison of vectors replaces the scan of a comma, a name, a colon and some constant values.
//!
//! Take these two rows, in `{"data":[{"results":[`:
//!
//! ```json
//! {"object":"usage.result","tokens":4812,"user_id":null,"api_key_id":"key_1"},
//! {"object":"usage.result","tokens":977,"user_id":null,"api_key_id":"key_2"}
//! ```
//!
//! In the first row each text between two values is a misprediction: it is read, and kept as a template with its
//! meaning (a [`Structure`]: the member's name and colon, the containers that end and start, and whether the sink wants
//! the member) and with the value behind it, if that is a [constant](template::is_constant). The second row finds two constants
//! again, and makes them part of longer templates. From the third row on, these templates follow each other:
//!
//! | template | value |
//! |---|---|
//! | `},{"object":"usage.result","tokens":` | a number: its end is found with SIMD |
//! | `,"user_id":null,"api_key_id":` | a string: reported to the sink with its member |
//!
//! Each template contains the templates that came after it, the most likely one first: behind a row's last member these
//! are the next row, the next bucket and the end of the page. A text that is none of them is read again. A value that is not
//! a scalar of at most about 60 bytes, or has an escape, is left to the plain scanner, as are the last [`WINDOW`] bytes
//! of a chunk. After [`BUDGET`] mispredictions, less those that correct predictions offset, the templates pause.
//!
//! # Correctness
//!
//! A prediction is used only where all bytes of the text are equal, and where the containers that end in it, and the one
//! around them, are of the same kinds: then the grammar gives the text the same meaning. So the templates change the speed,
//! and no result. The scanner calls only [`Templates::advance`]; without this call it reports the same events.
//!
//! # Cached templates
//!
//! A [`TemplateCache`] gives the templates of a body to the next one of the same layer. Templates contain punctuation, white
//! space, member names and constants. Constants are literals, the number 0, and strings of lower-case letters, dots and
//! underscores, such as types and units. So no template contains a key or an amount.

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

    /// True if [`advance`](Self::advance) can start here: behind a value in an object, not near the end of the chunk.
    #[inline(always)]
    pub(super) fn is_ready(&self, plain: &PlainScanner, cursor: &Cursor<'_>) -> bool {
        HAS_SIMD
            && cursor.offset() >= self.paused_until
            && plain.state == ScanState::AfterValue
            && cursor.rest.len() >= WINDOW
            && plain.containers.is_in_object() == Some(true)
            && plain.containers.depth() <= MAX_SHALLOW_DEPTH
    }

    /// Scans as many members as templates can describe. Stops behind a value, or before one that is not a scalar.
    #[inline(always)]
    pub(super) fn advance(
        &mut self,
        plain: &mut PlainScanner,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink,
    ) {
        while self.is_ready(plain, cursor) {
            let predicted =
                self.follow(plain, cursor, sink).map(|index| (index, &self.known[usize::from(index)]));
            let Some(window) = cursor.rest.first_chunk() else { break };
            let offset = cursor.offset();
            let (structure, value) = if let Some((index, template)) = predicted {
                (self.last, self.next) = (index, template.followers[0]);
                (template.structure, scalar_len(window, template.structure.len.into()))
            } else {
                let constant_len = |structure: &_| self.constant_len(structure, window);
                let read = Structure::read(window, &plain.containers, constant_len, sink);
                let Some(structure) = read else { break };
                let value = scalar_len(window, structure.len.into());
                self.learn(structure, window, value, offset);
                (structure, value)
            };
            let len = usize::from(structure.len);
            let Some(value) = value else {
                structure.enter(offset, &mut plain.containers, sink);
                plain.start_value(structure.member(offset), structure.wanted);
                cursor.advance(len);
                return;
            };
            structure.pass(window, value, offset, &mut plain.containers, sink);
            cursor.advance(len + value);
        }
        // The plain scanner reads the next text, after which no prediction is known.
        (self.last, self.next) = (NONE, NONE);
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
        while let Some((index, template, value)) = run.skip_simple(&self.known) {
            let structure = &template.structure;
            if !structure.fits(&plain.containers) {
                break;
            }
            let (Some(value), Some(window)) = (value, run.rest.first_chunk()) else {
                predicted = Some(index as u8);
                break;
            };
            structure.pass(window, value, end - run.rest.len() as u64, &mut plain.containers, sink);
            let (before, is_in_one_object) = (run.last, structure.is_in_one_object());
            run.advance(index, template, value);
            // The most frequent end of a row is the next row.
            if !is_in_one_object && let Some(before) = self.known.get_mut(before) {
                before.predict(index as u8, false);
            }
        }
        let bytes = cursor.rest.len() - run.rest.len();
        self.budget = BUDGET.min(self.budget + (bytes / BYTES_PER_MISPREDICTION) as u32);
        (self.last, self.next, cursor.rest) = (run.last as u8, run.next as u8, run.rest);
        predicted
    }

    /// The length of the value behind a text, if it is the constant that followed the text's last part before.
    ///
    /// Returns `None` after a misprediction. Such rows are read value by value from then on.
    fn constant_len(&self, structure: &Structure, window: &[u8; WINDOW]) -> Option<usize> {
        let last = self.known.get(usize::from(self.last));
        if last.is_some_and(|last| last.followers[0] != NONE) {
            return None;
        }
        let (start, len) = (usize::from(structure.last_part), usize::from(structure.len));
        let constant = self.known[self.position(&window[start..len])?].constant();
        (!constant.is_empty() && window[len..].starts_with(constant)).then_some(constant.len())
    }

    fn position(&self, text: &[u8]) -> Option<usize> {
        // The comparison of the lengths comes first, because it is inlined and rules most templates out.
        let is_same =
            |known: &Template| usize::from(known.structure.len) == text.len() && known.text() == text;
        self.known.iter().position(is_same)
    }

    /// Keeps the template of a text that was not predicted, and predicts it after the last one.
    #[inline(never)]
    fn learn(&mut self, structure: Structure, window: &[u8; WINDOW], value: Option<usize>, offset: u64) {
        let text = &window[..structure.len.into()];
        let known = self.position(text);
        if known.is_none() && self.known.len() == MAX_TEMPLATES {
            self.known.clear();
            self.last = NONE;
        }
        let index = known.unwrap_or(self.known.len());
        if known.is_none() {
            // The first allocation has room for a usual page.
            self.known.reserve(if self.known.is_empty() { 20 } else { 1 });
            self.known.push(Template::new(structure, window));
        }
        self.known[index].set_constant(window, value.unwrap_or(0));
        // If one text continues the other, then the longer one is compared first.
        let first = self.known.get(usize::from(self.last)).map_or(NONE, |last| last.followers[0]);
        let is_second =
            self.known.get(usize::from(first)).is_some_and(|first| first.text().starts_with(text));
        // A new text of one part may turn out to be followed by a constant.
        if (known.is_some() || structure.last_part > 0)
            && let Some(last) = self.known.get_mut(usize::from(self.last))
        {
            last.predict(index as u8, is_second);
        }
        (self.last, self.next) = (index as u8, self.known[index].followers[0]);
        self.budget -= 1;
        if self.budget == 0 {
            (self.budget, self.paused_until) = (BUDGET_AFTER_PAUSE, offset + PAUSE);
        }
    }
}

/// A run of predicted members.
struct Run<'a> {
    /// The bytes behind the last value.
    rest: &'a [u8],
    /// The indexes of the last template and of the predicted one.
    last: usize,
    next: usize,
}

impl Run<'_> {
    #[inline(always)]
    fn advance(&mut self, index: usize, template: &Template, value: usize) {
        (self.last, self.next) = (index, template.followers[0].into());
        self.rest = &self.rest[(usize::from(template.structure.len) & MAX_LEN) + value..];
    }

    /// Skips the members that need no call of the sink. Returns the template behind them, with the length of its scalar.
    ///
    /// It is a loop of its own, because the calls of the sink would take the registers that it needs.
    #[inline(always)]
    fn skip_simple<'t>(&mut self, known: &'t [Template]) -> Option<(usize, &'t Template, Option<usize>)> {
        loop {
            let window = self.rest.first_chunk::<WINDOW>()?;
            let (index, template) = self.predicted(known, window)?;
            match scalar_len(window, template.structure.len.into()) {
                Some(value) if template.structure.is_simple => self.advance(index, template, value),
                value => return Some((index, template, value)),
            }
        }
    }

    /// The template that `window` starts with, of those that came after the last one before.
    #[inline(always)]
    fn predicted<'t>(&self, known: &'t [Template], window: &[u8; WINDOW]) -> Option<(usize, &'t Template)> {
        let matching = |index: usize| {
            known.get(index).filter(|template| template.matches(window)).map(|template| (index, template))
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
        let cached = self.templates.try_lock().ok().and_then(|mut cached| cached.take());
        cached.unwrap_or_else(Templates::new)
    }

    /// Puts templates in the cache.
    pub(super) fn store(&self, templates: &mut Templates) {
        let templates = std::mem::replace(templates, Templates::new());
        if !self.is_disabled
            && let Ok(mut cached) = self.templates.try_lock()
        {
            let budget = templates.budget.max(BUDGET_AFTER_PAUSE);
            *cached = Some(Templates { last: NONE, next: NONE, budget, paused_until: 0, ..templates });
        }
    }
}

#[cfg(test)]
mod tests;
