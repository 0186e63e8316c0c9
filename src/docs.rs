//! Reading beside the reference: the reasons.
//!
//! - [`design`]: why it is built as it is, what it costs, and how it differs from other ways to do the job.
//! - [`performance`]: how fast it is, what bounds that, and what did not help.
//! - [`reliability`]: what it promises, how that is tested, and what it does not promise.

#[doc = include_str!("docs/design.md")]
pub mod design {}

#[doc = include_str!("docs/performance.md")]
pub mod performance {}

#[doc = include_str!("docs/reliability.md")]
pub mod reliability {}
