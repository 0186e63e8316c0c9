//! The text of a dimension's value for people.
use crate::spend::query::Dimension;
use crate::spend::row::GroupValue;

/// Returns the name, the id if it has no name, or a text in parentheses.
pub(super) fn label(dimension: Dimension, value: GroupValue<&str>) -> &str {
    match value {
        GroupValue::Text("") => "(empty)",
        GroupValue::Text(text) | GroupValue::UnnamedId(text) => text,
        GroupValue::Null => null_label(dimension),
        GroupValue::Absent => "(not grouped)",
    }
}

/// Returns the text of a null value.
fn null_label(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::KeyName | Dimension::KeyId => "(no key)",
        Dimension::ProjectName | Dimension::ProjectId => "(no project)",
        Dimension::Organization => "(no organization)",
        Dimension::Provider => "(no provider)",
        Dimension::UserName => "(no user)",
        Dimension::LineItem => "(no line item)",
        Dimension::Model => "(no model)",
    }
}
