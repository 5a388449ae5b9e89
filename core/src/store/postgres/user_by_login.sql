-- The account that somebody who logs in means: the very address, then the name, then the address in another case.
-- Databases of the first release can hold two addresses that differ in case only; the lower one wins.
-- $1 what was typed, $2 the same in lower case
SELECT
    u.id,
    u.username::text,
    u.email::text,
    COALESCE(u.is_verified, false),
    COALESCE(u.is_admin, false),
    u.password_hash::text,
    u.is_active
FROM users u
WHERE u.email = $1::text OR u.username = $1::text OR lower(u.email) = $2::text
ORDER BY u.email = $1::text DESC, u.username = $1::text DESC, u.email = $2::text DESC, u.id
LIMIT 1
