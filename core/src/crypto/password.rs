//! Password hashing: Argon2id in PHC form, and verification of an older installation's bcrypt hashes.
//!
//! Plain functions: a host runs them off its request threads and bounds how many run at once.

use argon2::{
    Argon2, Params, PasswordHasher as _, PasswordVerifier as _,
    password_hash::phc::{self, Ident},
};

use crate::{
    model::{Password, PasswordHash},
    ports::{Entropy, PasswordCheck},
};

/// The cost of an Argon2id hash (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for PasswordCost {
    /// 19 MiB, two passes, one lane: the OWASP minimum for Argon2id.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, parallelism: 1 }
    }
}

impl PasswordCost {
    /// `None` where Argon2 does not know such a cost, or it is below the least that RFC 9106 allows.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Option<Self> {
        Params::new(memory_kib, iterations, parallelism, None).ok()?;
        Some(Self { memory_kib, iterations, parallelism })
    }

    fn argon2(self) -> Argon2<'static> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, None)
            .expect("the cost was checked when it was made");
        Argon2::from(params)
    }
}

/// Hashes a password with 128 bits of salt.
pub fn hash(password: &Password, cost: PasswordCost, entropy: &impl Entropy) -> PasswordHash {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    let hash = cost
        .argon2()
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .expect("length of password and salt are within Argon2's limits");
    PasswordHash::new(hash.to_string())
}

/// Compares a password with a hash. Without one, it hashes all the same and answers [`PasswordCheck::Wrong`].
pub fn verify(password: &Password, hash: Option<&PasswordHash>, cost: PasswordCost) -> PasswordCheck {
    let Some(hash) = hash.map(PasswordHash::as_str) else {
        let mut output = [0; 32];
        // The result is of no use: what counts is that it took the time.
        let _ = cost.argon2().hash_password_into(password.expose().as_bytes(), &[0; 16], &mut output);
        return PasswordCheck::Wrong;
    };
    if hash.starts_with("$2") {
        return match bcrypt::verify(password.expose(), hash) {
            Ok(true) => PasswordCheck::CorrectButOutdated,
            _ => PasswordCheck::Wrong,
        };
    }
    let Ok(parsed) = phc::PasswordHash::new(hash) else {
        return PasswordCheck::Wrong;
    };
    if cost.argon2().verify_password(password.expose().as_bytes(), &parsed).is_err() {
        return PasswordCheck::Wrong;
    }
    let as_strong = parsed.algorithm == Ident::new("argon2id").expect("a valid name")
        && Params::try_from(&parsed).is_ok_and(|params| is_as_strong(&params, cost));
    if as_strong { PasswordCheck::Correct } else { PasswordCheck::CorrectButOutdated }
}

fn is_as_strong(params: &Params, cost: PasswordCost) -> bool {
    params.m_cost() >= cost.memory_kib && params.t_cost() >= cost.iterations && params.p_cost() >= cost.parallelism
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    const CHEAP: PasswordCost = PasswordCost { memory_kib: 8, iterations: 1, parallelism: 1 };

    fn password(text: &str) -> Password {
        Password::new(text).expect("valid")
    }

    #[test]
    fn argon2id_in_phc_form_with_the_configured_cost() {
        let hash = hash(&password("correct horse"), PasswordCost::default(), &Sevens);
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_eq!(verify(&password("correct horse"), Some(&hash), PasswordCost::default()), PasswordCheck::Correct);
        assert_eq!(verify(&password("wrong"), Some(&hash), PasswordCost::default()), PasswordCheck::Wrong);
    }

    #[test]
    fn weaker_hashes_verify_and_ask_to_be_replaced() {
        let weak = hash(&password("p"), CHEAP, &Sevens);
        assert_eq!(verify(&password("p"), Some(&weak), CHEAP), PasswordCheck::Correct);
        assert_eq!(verify(&password("p"), Some(&weak), PasswordCost::default()), PasswordCheck::CorrectButOutdated);
        let lanes = PasswordCost { memory_kib: 16, parallelism: 2, ..CHEAP };
        assert_eq!(verify(&password("p"), Some(&hash(&password("p"), lanes, &Sevens)), lanes), PasswordCheck::Correct);
        assert_eq!(verify(&password("p"), Some(&weak), lanes), PasswordCheck::CorrectButOutdated);
        let bcrypt = PasswordHash::new(bcrypt::hash_with_salt("p", 4, [1; 16]).expect("hashes").to_string());
        assert_eq!(verify(&password("p"), Some(&bcrypt), CHEAP), PasswordCheck::CorrectButOutdated);
        assert_eq!(verify(&password("q"), Some(&bcrypt), CHEAP), PasswordCheck::Wrong);
    }

    /// Of several tries the quickest, and ten times as much is still taken for the same, so that a busy machine does not
    /// matter: a comparison that is left out takes a thousandth of one that is done.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is the time that is tested")]
    fn without_a_hash_it_takes_as_long() {
        let cost = PasswordCost { memory_kib: 1024, ..CHEAP };
        let known = hash(&password("p"), cost, &Sevens);
        let time = |hash| {
            let tries = (0..9).map(|_| {
                let started = std::time::Instant::now();
                assert_eq!(verify(&password("q"), hash, cost), PasswordCheck::Wrong);
                started.elapsed()
            });
            tries.min().expect("there were some")
        };
        let (unknown, known) = (time(None), time(Some(&known)));
        assert!(unknown * 10 > known && known * 10 > unknown, "{unknown:?} {known:?}");
    }

    #[test]
    fn no_hash_or_a_damaged_one_is_never_right() {
        assert_eq!(verify(&password("p"), None, CHEAP), PasswordCheck::Wrong);
        for damaged in ["", "!", "$argon2id$", "$2b$", "plain"] {
            let hash = PasswordHash::new(damaged.to_owned());
            assert_eq!(verify(&password("p"), Some(&hash), CHEAP), PasswordCheck::Wrong, "{damaged}");
        }
    }
}
