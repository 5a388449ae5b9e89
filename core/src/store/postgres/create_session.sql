-- Starts a browser's login and ends the one before it.
-- $1 id, $2 digest of the cookie, $3 user, $4 when they authenticated, $5 end, $6 digest of the session to end,
-- $7 address, $8 device
WITH replaced AS (
    DELETE FROM sessions WHERE digest = $6::bytea
)
INSERT INTO sessions (id, digest, user_id, authenticated_at, expires_at, address, device)
VALUES (
    $1::uuid, $2::bytea, $3::uuid,
    to_timestamp(0) + $4::int8 * interval '1 microsecond',
    to_timestamp(0) + $5::int8 * interval '1 microsecond',
    $7::text, $8::text
)
ON CONFLICT DO NOTHING
