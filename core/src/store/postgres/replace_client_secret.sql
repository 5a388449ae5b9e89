-- Puts one secret's hash in the place of another, unless a third is there by now.
-- $1 id, $2 old hash, $3 new hash, $4 now
UPDATE clients
SET client_secret_hash = $3::text,
    updated_at = to_timestamp(0) + $4::int8 * interval '1 microsecond'
WHERE id = $1::uuid AND client_secret_hash = $2::text
