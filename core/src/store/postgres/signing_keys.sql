-- The keys that are published (RFC 7517 §5), oldest first.
-- $1 now
SELECT
    kid,
    algorithm,
    sequence,
    public_jwk,
    sealed,
    (extract(epoch FROM activates_at) * 1000000)::int8,
    (extract(epoch FROM retires_at) * 1000000)::int8
FROM signing_keys
WHERE retires_at IS NULL OR retires_at > to_timestamp(0) + $1::int8 * interval '1 microsecond'
ORDER BY activates_at, sequence, kid
