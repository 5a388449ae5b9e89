use std::{collections::BTreeSet, fmt};

/// A set of scope tokens (RFC 6749 §3.3), in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

/// The text is not a list of scope tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is a space-separated list of printable ASCII words without quotes or backslashes")]
pub struct InvalidScope;

impl Scopes {
    /// No request may carry more text than this.
    const MAX_BYTES: usize = 4096;

    /// Reads `scope = scope-token *( SP scope-token )`, RFC 6749 appendix A.4. The empty text is the empty set.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidScope);
        }
        text.split(' ').map(|word| Self::is_token(word).then(|| word.to_owned()).ok_or(InvalidScope)).collect()
    }

    /// Whether `word` is one scope token.
    pub fn is_token(word: &str) -> bool {
        !word.is_empty() && word.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
    }

    /// Whether every scope of `self` is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes that both have.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Whether this scope is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether the set has no scope at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The scopes as the store keeps them.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl FromIterator<String> for Scopes {
    fn from_iter<I: IntoIterator<Item = String>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

/// A scope as the operator registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDescription {
    /// The scope token.
    pub name: String,
    /// What it allows, in words for the consent page.
    pub description: String,
    /// Whether a request without `scope` receives it.
    pub is_default: bool,
    /// Whether it can be granted at all.
    pub is_active: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_by_appendix_a4() {
        let scopes = Scopes::parse("write read read").expect("valid");
        assert_eq!(scopes.to_string(), "read write");
        assert!(Scopes::parse("").expect("empty is valid").is_empty());
        for bad in ["a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "é", "a\u{0}b"] {
            assert_eq!(Scopes::parse(bad), Err(InvalidScope), "{bad:?}");
        }
    }
}
