//! The members of labels.

use crate::json::scan::TemplateCache;

/// A member that is edited or compared, with the index of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelMember {
    Id(u8),
    Name(u8),
}

/// The templates of the amenders of one layer.
pub type LabelTemplates = TemplateCache<LabelMember>;
