//! What a new password may be (NIST SP 800-63B §3.1.1.2): long enough, not one of those that everybody tries first,
//! and not made of the words around it. No rules about kinds of characters.

use super::Password;

/// Passwords of eight characters and more that are common in leaks, in lower case and in order, one on a line. Shorter
/// ones are refused anyway. Where they come from: `README.md`.
const COMMON: &str = include_str!("common_passwords.txt");

/// A context word shorter than this is left alone: it is in too many other words.
const MIN_WORD: usize = 3;

/// So many characters must be left when the context words are taken out.
const MIN_REST: usize = 6;

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer than [`NewPassword::MIN`] characters.
    #[error("the password must have at least 8 characters")]
    Short,
    /// More than [`NewPassword::MAX`] characters.
    #[error("the password must have at most 128 characters")]
    Long,
    /// It is on the list, or one or two characters repeated.
    #[error("the password is one of those that are guessed first: choose another one")]
    Common,
    /// It is little else than the person's or this service's name.
    #[error("the password is little more than a name that everybody knows: choose another one")]
    Context,
}

/// A password that somebody may choose.
#[derive(Clone, Debug)]
pub struct NewPassword(Password);

impl NewPassword {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 128;

    /// Checks a text. `context` has what is known about the person and the service: user name, address, host names.
    ///
    /// # Errors
    /// Where it is too short, too long, common, or little more than a word of the context.
    pub fn new(text: &str, context: &[&str]) -> Result<Self, WeakPassword> {
        match text.chars().count() {
            0..Self::MIN => return Err(WeakPassword::Short),
            Self::MIN..=Self::MAX => {}
            _ => return Err(WeakPassword::Long),
        }
        let lower = text.to_lowercase();
        if is_common(&lower) || is_repetition(&lower) {
            return Err(WeakPassword::Common);
        }
        if is_context(&lower, context) {
            return Err(WeakPassword::Context);
        }
        Password::new(text).map(Self).ok_or(WeakPassword::Long)
    }

    /// The password, for hashing.
    pub fn into_password(self) -> Password {
        self.0
    }
}

/// Binary search over the text itself: nothing is built at start-up.
fn is_common(lower: &str) -> bool {
    let (mut start, mut end) = (0, COMMON.len());
    while start < end {
        let middle = start + (end - start) / 2;
        let line_start = COMMON.as_bytes()[..middle].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line_end = COMMON.as_bytes()[middle..].iter().position(|byte| *byte == b'\n').map_or(end, |at| middle + at);
        match COMMON[line_start..line_end].cmp(lower) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => start = line_end + 1,
            std::cmp::Ordering::Greater => end = line_start,
        }
    }
    false
}

fn is_repetition(lower: &str) -> bool {
    let mut characters: Vec<char> = lower.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    characters.len() <= 2
}

fn is_context(lower: &str, context: &[&str]) -> bool {
    let mut words: Vec<String> = context
        .iter()
        .flat_map(|text| {
            text.to_lowercase().split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|word| word.chars().count() >= MIN_WORD)
        .collect();
    // The longest first: a word in another one must not leave half of it behind.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = lower.to_owned();
    for word in words {
        rest = rest.replace(&word, "");
    }
    rest.len() < lower.len() && rest.chars().count() < MIN_REST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), WeakPassword> {
        NewPassword::new(text, &["Ada.Lovelace@example.com", "Authly", "auth.example.com"]).map(drop)
    }

    #[test]
    fn the_list_is_in_order_and_holds_what_can_be_chosen_only() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.len() > 6000 && COMMON.len() <= 60 * 1024 && COMMON.ends_with('\n'));
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(lines.iter().all(|line| line.chars().count() >= NewPassword::MIN && *line == line.to_lowercase()));
    }

    #[test]
    fn every_common_password_is_found_in_any_case_and_no_other() {
        for line in COMMON.lines() {
            assert!(is_common(line), "{line}");
            assert!(!is_common(&format!("{line}!~")), "{line}");
        }
        assert_eq!(check("PassWord"), Err(WeakPassword::Common));
        assert!(!is_common("") && !is_common("!") && !is_common("zzzzzzzzzzzzz~"));
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(check("1234567"), Err(WeakPassword::Short));
        assert_eq!(check("äöüßéèê"), Err(WeakPassword::Short));
        assert_eq!(check("äöüßéèêç"), Ok(()));
        assert_eq!(check(&"äbc€".repeat(32)), Ok(()));
        assert_eq!(check(&format!("{}x", "äbc€".repeat(32))), Err(WeakPassword::Long));
    }

    #[test]
    fn there_are_no_rules_about_kinds_of_characters() {
        for good in ["a quiet evening", "kwxvpzqm", "𝕡𝕒𝕤𝕤 and more", "83920174"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn repetitions_and_names_are_refused() {
        for bad in ["zzzzzzzz", "xyxyxyxyxy"] {
            assert_eq!(check(bad), Err(WeakPassword::Common), "{bad}");
        }
        for bad in ["lovelace", "Lovelace42", "ada.lovelace", "authly2026", "example.com", "auth.example.com"] {
            assert_eq!(check(bad), Err(WeakPassword::Context), "{bad}");
        }
        assert_eq!(check("authly with a sentence around it"), Ok(()));
    }
}
