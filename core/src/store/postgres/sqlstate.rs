//! What an error of the server means, by its SQLSTATE.

use super::StoreError;

/// The error of a statement that the server refused, or gave up on.
pub fn store_error(statement: &str, code: &str, message: &str) -> StoreError {
    // Table or column not found.
    if matches!(code, "42P01" | "42703") {
        return StoreError::Unexpected(format!("{statement}: {message}; was the database migrated?"));
    }
    let text = format!("{statement}: {message} ({code})");
    if may_pass(code) { StoreError::Unavailable(text) } else { StoreError::Unexpected(text) }
}

/// Whether the same statement can be expected to work later.
fn may_pass(code: &str) -> bool {
    // By class: connection exception, insufficient resources, operator intervention.
    ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        // Serialization failure, deadlock, lock not available; a server that was demoted to a standby.
        || matches!(code, "40001" | "40P01" | "55P03" | "25006")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_unavailable() {
        for code in ["08006", "53300", "57P01", "40001", "40P01", "55P03", "25006"] {
            assert!(matches!(store_error("s", code, "m"), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["23505", "42P01", "42703", "22P02", "42601"] {
            assert!(matches!(store_error("s", code, "m"), StoreError::Unexpected(_)), "{code}");
        }
    }
}
