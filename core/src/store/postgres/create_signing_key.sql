-- Stores a key under its number and has those before it retire at a time at the latest, whatever their algorithm, unless
-- another instance was faster.
-- $1 kid, $2 algorithm, $3 number, $4 public JWK, $5 sealed private key, $6 when it begins to sign, $7 its end, if
-- known, $8 end of those before
WITH created AS (
    INSERT INTO signing_keys (kid, algorithm, sequence, public_jwk, sealed, activates_at, retires_at)
    VALUES (
        $1::text, $2::text, $3::int8, $4::text, $5::bytea,
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
    RETURNING sequence
), retired AS (
    UPDATE signing_keys k
    SET retires_at = to_timestamp(0) + $8::int8 * interval '1 microsecond'
    FROM created
    WHERE k.sequence < created.sequence AND (k.retires_at IS NULL OR k.retires_at > to_timestamp(0) + $8::int8 * interval '1 microsecond')
)
SELECT EXISTS (SELECT FROM created)
