-- Puts a key that was sealed anew in the place of the same key as it was sealed before.
-- $1 kid, $2 sealed before, $3 sealed anew
UPDATE signing_keys SET sealed = $3::bytea WHERE kid = $1::text AND sealed = $2::bytea
