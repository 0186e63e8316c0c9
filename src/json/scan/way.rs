//! Which way a chunk is gone over: by what was expected, block by block, or step by step.

use super::sweep::Sweep;
use super::{Cursor, Fault, Scanner, Sink};
use crate::json::wide::{BLOCK, ByOne, MOST_BLOCKS, Task, Wide};

/// Scans what is left of a chunk.
pub(super) struct Way<'a, 'c, S> {
    pub(super) scanner: &'a mut Scanner,
    pub(super) cursor: &'a mut Cursor<'c>,
    pub(super) sink: &'a mut S,
}

impl<S: Sink> Task for Way<'_, '_, S> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn run(self, wide: impl Wide) -> Result<(), Fault> {
        let Self { scanner, cursor, sink } = self;
        let mut is_rough = false;
        while cursor.at < cursor.chunk.len() {
            let from = cursor.at;
            let mut upto = from;
            let sweeps = scanner.joints.pauses();
            if sweeps && scanner.may_sweep(cursor) {
                let sweep = Sweep { scanner, cursor, sink };
                upto = if is_rough { wide.apart(ByOne(sweep)) } else { wide.by_blocks(sweep) };
                // What is judged behind what needs care is judged for nothing.
                is_rough = cursor.at - from < MOST_BLOCKS * BLOCK;
                // Where most needs care, no byte is judged again and again before each step.
                if cursor.at - from < BLOCK {
                    upto = upto.max(from + BLOCK);
                }
            } else if !sweeps && scanner.may_run() {
                let needs_step = scanner.run(wide, cursor, sink);
                upto = cursor.at + usize::from(needs_step || cursor.at == from);
            }
            scanner.walk(upto, cursor, sink)?;
            if sweeps {
                scanner.joints.rest(cursor.at - from);
            }
        }
        Ok(())
    }
}

impl Scanner {
    /// Step by step up to a place at least, and to where there is a faster way.
    #[inline(never)]
    fn walk(&mut self, upto: usize, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Fault> {
        while let Some(&byte) = cursor.chunk.get(cursor.at)
            && (cursor.at < upto
                || !if self.joints.pauses() { self.may_sweep(cursor) } else { self.may_run() })
        {
            self.step(byte, cursor, sink)?;
        }
        Ok(())
    }
}
