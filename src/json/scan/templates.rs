//! Stub.

/// The templates that one body leaves to the next.
#[derive(Debug, Default)]
pub struct TemplateCache;

impl TemplateCache {
    /// A cache that disables templates.
    pub fn disabled() -> Self {
        Self
    }
}
