-- Counts an attempt to log in before the password is tried, and reads the account as user_by_login.sql does. Three
-- counters, one after the other, each only if the one before has let the attempt pass: permits of the client's address
-- (as take_permits.sql), attempts from this address or browser, and, where the account knows neither, attempts from
-- everywhere else. An account that does not exist is counted like one that does. A row that is blocked is locked and
-- left as it is, so of concurrent attempts no more pass than may: limit.rs.
-- $1 what was typed, $2 the same in lower case, $3 now, $4 key of the address's permits, if they are asked for,
-- $5 how many, $6 how many there are, $7 end of a window that begins now, $8 the address as an origin, if known,
-- $9 the browser as an origin, if known, $10 counter by address, if attempts are counted, $11 counter by browser,
-- $12 counter of the account, $13 free attempts by origin, $14 free attempts of the account, $15 the first wait and
-- $16 the longest in microseconds, $17 when attempts are forgotten, $18 free attempts by a known origin
WITH account AS MATERIALIZED (
    SELECT
        u.id,
        u.username::text,
        u.email::text,
        COALESCE(u.is_verified, false) AS is_verified,
        COALESCE(u.is_admin, false) AS is_admin,
        u.password_hash::text,
        u.is_active
    FROM users u
    WHERE u.email = $1::text OR u.username = $1::text OR lower(u.email) = $2::text
    ORDER BY u.email = $1::text DESC, u.username = $1::text DESC, u.email = $2::text DESC, u.id
    LIMIT 1
), known AS MATERIALIZED (
    SELECT
        COALESCE(bool_or(k.origin = $8::bytea), false) AS address,
        COALESCE(bool_or(k.origin = $9::bytea), false) AS device
    FROM known_origins k
    WHERE k.user_id = (SELECT id FROM account)
        AND k.origin IN ($8::bytea, $9::bytea)
        AND k.expires_at > to_timestamp(0) + $3::int8 * interval '1 microsecond'
), counters AS MATERIALIZED (
    SELECT
        CASE WHEN device THEN $11::bytea ELSE $10::bytea END AS by_origin,
        CASE WHEN device OR address THEN $18::int8 ELSE $13::int8 END AS free_by_origin,
        CASE WHEN NOT device AND NOT address THEN $12::bytea END AS by_account
    FROM known
), taken AS (
    INSERT INTO rate_limits AS r (key, used, ends_at)
    SELECT $4::bytea, $5::int8, to_timestamp(0) + $7::int8 * interval '1 microsecond'
    WHERE $4::bytea IS NOT NULL
    ON CONFLICT (key) DO UPDATE
    SET used = EXCLUDED.used
            + CASE WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.used ELSE 0 END,
        ends_at = CASE
            WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.ends_at
            ELSE EXCLUDED.ends_at
        END
    RETURNING r.used, r.ends_at
), permitted AS MATERIALIZED (
    SELECT COALESCE((SELECT used - $5::int8 < $6::int8 FROM taken), true) AS it
), by_origin AS (
    INSERT INTO rate_limits AS r (key, used, ends_at)
    SELECT c.by_origin, 1, to_timestamp(0) + $17::int8 * interval '1 microsecond'
    FROM counters c, permitted
    WHERE permitted.it AND c.by_origin IS NOT NULL
    ON CONFLICT (key) DO UPDATE
    SET used = CASE
            WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.used + 1
            ELSE 1
        END,
        blocked_until = CASE
            WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' AND r.used + 1 >= (SELECT free_by_origin FROM counters)
            THEN to_timestamp(0) + interval '1 microsecond'
                * ($3::int8 + least(
                    $16::int8,
                    $15::int8 << least(r.used + 1 - (SELECT free_by_origin FROM counters), 20)::int4
                ))
        END,
        ends_at = EXCLUDED.ends_at
    WHERE r.blocked_until IS NULL
        OR r.blocked_until <= to_timestamp(0) + $3::int8 * interval '1 microsecond'
        OR r.ends_at <= to_timestamp(0) + $3::int8 * interval '1 microsecond'
    RETURNING r.key
), by_account AS (
    INSERT INTO rate_limits AS r (key, used, ends_at)
    SELECT c.by_account, 1, to_timestamp(0) + $17::int8 * interval '1 microsecond'
    FROM counters c, by_origin
    WHERE c.by_account IS NOT NULL
    ON CONFLICT (key) DO UPDATE
    SET used = CASE
            WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.used + 1
            ELSE 1
        END,
        blocked_until = CASE
            WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' AND r.used + 1 >= $14::int8
            THEN to_timestamp(0) + interval '1 microsecond'
                * ($3::int8 + least($16::int8, $15::int8 << least(r.used + 1 - $14::int8, 20)::int4))
        END,
        ends_at = EXCLUDED.ends_at
    WHERE r.blocked_until IS NULL
        OR r.blocked_until <= to_timestamp(0) + $3::int8 * interval '1 microsecond'
        OR r.ends_at <= to_timestamp(0) + $3::int8 * interval '1 microsecond'
    RETURNING r.key
)
SELECT
    (SELECT used FROM taken),
    (SELECT (extract(epoch FROM ends_at) * 1000000)::int8 FROM taken),
    permitted.it,
    c.by_origin,
    c.by_account,
    EXISTS (SELECT FROM by_origin),
    EXISTS (SELECT FROM by_account),
    -- As they were before this statement: of what somebody else changed meanwhile, nothing shows.
    (SELECT (extract(epoch FROM r.blocked_until) * 1000000)::int8 FROM rate_limits r WHERE r.key = c.by_origin),
    (SELECT (extract(epoch FROM r.blocked_until) * 1000000)::int8 FROM rate_limits r WHERE r.key = c.by_account),
    a.id,
    a.username,
    a.email,
    COALESCE(a.is_verified, false),
    COALESCE(a.is_admin, false),
    a.password_hash,
    COALESCE(a.is_active, false)
FROM counters c
CROSS JOIN permitted
LEFT JOIN account a ON true
