use std::fmt;

use zeroize::Zeroizing;

/// Bytes that never show in a log: `Debug` is redacted, and memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves. Call it only where they are used.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A password as a person typed it, of at most [`Password::MAX_BYTES`].
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Longer input is refused, so that hashing cannot be made to work on megabytes.
    pub const MAX_BYTES: usize = 1024;

    /// `None` where the text is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = Zeroizing::new(text.into());
        (!text.is_empty() && text.len() <= Self::MAX_BYTES).then_some(Self(text))
    }

    /// The text itself. Call it only where it is hashed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
