//! The kinds of JSON values.

use serde_json::Value;

/// The kind of a JSON value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

impl ValueKind {
    /// Returns the kind of a valid value with this first byte.
    pub(super) fn of(first_byte: u8) -> Self {
        match first_byte {
            b'n' => Self::Null,
            b't' => Self::True,
            b'f' => Self::False,
            b'"' => Self::String,
            b'[' => Self::Array,
            b'{' => Self::Object,
            _ => Self::Number,
        }
    }

    pub(super) fn is_container(self) -> bool {
        matches!(self, Self::Array | Self::Object)
    }

    /// True if the value is the literal.
    pub(super) fn is_literal(self, literal: &Value) -> bool {
        match literal {
            Value::Null => self == Self::Null,
            Value::Bool(true) => self == Self::True,
            Value::Bool(false) => self == Self::False,
            _ => false,
        }
    }
}
