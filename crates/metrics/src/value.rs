//! Values of attributes.

use compact_str::CompactString;

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// Text known at compile time.
    Static(&'static str),
    /// Text.
    Text(CompactString),
    /// Integer.
    Int(i64),
    /// True or false.
    Bool(bool),
}

impl Value {
    /// The value as a text, as Prometheus has it.
    pub fn to_text(&self) -> CompactString {
        match self {
            Value::Static(text) => CompactString::const_new(text),
            Value::Text(text) => text.clone(),
            Value::Int(n) => compact_str::format_compact!("{n}"),
            Value::Bool(value) => CompactString::const_new(if *value { "true" } else { "false" }),
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Static(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}
