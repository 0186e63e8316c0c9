//! The choice between the two ways to scan what is left of a chunk.

use super::{Cursor, ScanError, Scanner, Sink};
use crate::json::wide::{Task, Wide};

/// The rest of a chunk.
pub(super) struct Way<'a, 'c, S> {
    pub(super) scanner: &'a mut Scanner,
    pub(super) cursor: &'a mut Cursor<'c>,
    pub(super) sink: &'a mut S,
}

impl<S: Sink> Task for Way<'_, '_, S> {
    type Output = Result<(), ScanError>;

    #[inline(always)]
    fn run(self, wide: impl Wide) -> Result<(), ScanError> {
        let Self { scanner, cursor, sink } = self;
        while cursor.at < cursor.chunk.len() {
            let from = cursor.at;
            let mut upto = from;
            let is_paused = scanner.joints.pauses();
            if is_paused {
                upto = cursor.chunk.len();
            } else if scanner.may_run() {
                let needs_step = scanner.run(wide, cursor, sink);
                upto = cursor.at + usize::from(needs_step || cursor.at == from);
            }
            scanner.walk(upto, cursor, sink)?;
            if is_paused {
                scanner.joints.rest(cursor.at - from);
            }
        }
        Ok(())
    }
}

impl Scanner {
    /// Step by step up to a place at least, and to where there is a faster way.
    #[inline(never)]
    fn walk(&mut self, upto: usize, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), ScanError> {
        while let Some(&byte) = cursor.chunk.get(cursor.at)
            && (cursor.at < upto || !self.may_run())
        {
            self.step(byte, cursor, sink)?;
        }
        Ok(())
    }
}
