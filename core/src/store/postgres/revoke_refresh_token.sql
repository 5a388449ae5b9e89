-- Revokes the grant of a client's own refresh token, of the current generation or an old one (RFC 7009 §2.1). Every
-- token's validity depends on the grant, so a successor that is being made at the same time is dead as well. Records
-- the event. One row: the grant that was revoked, if one was, and whose it was.
-- $1 token, $2 generation, $3 digest of its secret, $4 client, $5 now, $6 audit record
WITH revoked AS (
    UPDATE grants g
    SET revoked_at = to_timestamp(0) + $5::int8 * interval '1 microsecond'
    FROM tokens t
    WHERE t.id = $1::uuid
        AND t.token_type = 'refresh'
        AND ($2::int8 < t.generation OR $2::int8 = t.generation AND t.digest = $3::bytea)
        AND g.id = t.grant_id
        AND g.client_id = $4::uuid
        AND g.revoked_at IS NULL
    RETURNING g.id, g.user_id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.*
    FROM revoked, jsonb_populate_record(
        NULL::audit_log, $6::jsonb || jsonb_build_object('grant_id', revoked.id, 'user_id', revoked.user_id)
    ) AS e
    WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT revoked.id, revoked.user_id
FROM (VALUES (1)) AS always
LEFT JOIN revoked ON true
