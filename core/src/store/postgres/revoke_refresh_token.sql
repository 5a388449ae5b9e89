-- Revokes the grant of a client's own refresh token, of the current generation or an old one (RFC 7009 §2.1). Every
-- token's validity depends on the grant, so a successor that is being made at the same time is dead as well.
-- $1 token, $2 generation, $3 digest of its secret, $4 client, $5 now
UPDATE grants g
SET revoked_at = to_timestamp(0) + $5::int8 * interval '1 microsecond'
FROM tokens t
WHERE t.id = $1::uuid
    AND t.token_type = 'refresh'
    AND ($2::int8 < t.generation OR $2::int8 = t.generation AND t.digest = $3::bytea)
    AND g.id = t.grant_id
    AND g.client_id = $4::uuid
    AND g.revoked_at IS NULL
