-- The keys that are published, oldest first.
-- $1 now
SELECT published_signing_keys($1::int8)
