-- What a login of an account compares.
-- $1 user
SELECT
    a.id,
    a.username::text,
    a.email::text,
    COALESCE(a.is_verified, false),
    COALESCE(a.is_admin, false),
    a.password_hash::text,
    a.is_active
FROM users a
WHERE a.id = $1::uuid
