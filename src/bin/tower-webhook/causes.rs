//! What a refusal can come from.

/// A likely cause of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A stable name.
    pub code: &'static str,
    /// What to do about it.
    pub text: String,
}

impl Cause {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}
