-- Puts one hash of a password in the place of another, unless the password was changed since.
-- $1 user, $2 old hash, $3 new hash, $4 now
UPDATE users
SET password_hash = $3::text,
    updated_at = to_timestamp(0) + $4::int8 * interval '1 microsecond'
WHERE id = $1::uuid AND password_hash = $2::text
