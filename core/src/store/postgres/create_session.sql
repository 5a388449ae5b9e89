-- Starts a browser's login and ends the one before it; forgets the attempts that led to it, has the account know the
-- address and the browser, and records the event. Counters are touched in the order of attempt_login.sql.
-- $1 id, $2 digest of the cookie, $3 user, $4 when they authenticated, $5 end, $6 digest of the session to end,
-- $7 and $8 counters to forget, $9 address and $10 browser to know, $11 until when, $12 audit record, $13 address,
-- $14 device
WITH replaced AS (
    DELETE FROM sessions WHERE digest = $6::bytea
), forgotten AS (
    DELETE FROM rate_limits WHERE key = $7::bytea RETURNING 1
), forgotten_too AS (
    DELETE FROM rate_limits WHERE key = $8::bytea AND (SELECT count(*) FROM forgotten) >= 0
), remembered AS (
    INSERT INTO known_origins AS k (user_id, origin, expires_at)
    SELECT $3::uuid, o.origin, to_timestamp(0) + $11::int8 * interval '1 microsecond'
    FROM (VALUES ($9::bytea), ($10::bytea)) AS o (origin)
    WHERE o.origin IS NOT NULL
    ON CONFLICT (user_id, origin) DO UPDATE
    SET expires_at = EXCLUDED.expires_at
    WHERE k.expires_at < EXCLUDED.expires_at - interval '1 day'
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM jsonb_populate_record(NULL::audit_log, $12::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO sessions (id, digest, user_id, authenticated_at, expires_at, address, device)
VALUES (
    $1::uuid, $2::bytea, $3::uuid,
    to_timestamp(0) + $4::int8 * interval '1 microsecond',
    to_timestamp(0) + $5::int8 * interval '1 microsecond',
    $13::text, $14::text
)
ON CONFLICT DO NOTHING
