-- Counts for operators.
-- $1 now
SELECT
    (SELECT count(*) FROM users),
    (SELECT count(*) FROM clients),
    (SELECT count(*) FROM scopes),
    (
        SELECT count(*) FROM sessions
        WHERE expires_at > to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ),
    (
        SELECT count(*) FROM grants
        WHERE revoked_at IS NULL AND expires_at > to_timestamp(0) + $1::int8 * interval '1 microsecond'
    )
