-- The keys that are published, oldest first.
-- ?1 now
SELECT kid, algorithm, sequence, public_jwk, sealed, activates_at, retires_at
FROM signing_keys
WHERE retires_at IS NULL OR retires_at > ?1
ORDER BY activates_at, sequence, kid
