//! Reading beside the reference: the reasons.
//!
//! - [`design`]: why it is built as it is, what it costs, and how it differs from other ways to do the job.

#[doc = include_str!("design.md")]
pub mod design {}
