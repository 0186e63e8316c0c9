//! The settings that the stack is built from. The command line makes them, or a test.
use std::time::Duration;

use tower_api_key_name::Unmatched;

use super::base::Base;
use super::upstream::Roots;

#[derive(Clone, Debug)]
pub struct ProxySettings {
    pub base: Base,
    pub timeout: Duration,
    pub deadline: Duration,
    /// Bytes of one response that are buffered. `None`: the library's default.
    pub limit: Option<usize>,
    /// Bytes that all responses together may buffer. `None`: no such limit.
    pub total_limit: Option<usize>,
    pub unmatched: Unmatched,
    pub roots: Roots,
}
