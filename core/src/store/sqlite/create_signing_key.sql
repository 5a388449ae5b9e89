-- Stores a key under its number, unless another instance was faster.
-- ?1 kid, ?2 algorithm, ?3 number, ?4 public JWK, ?5 sealed private key, ?6 when it begins to sign, ?7 its end, if known
INSERT INTO signing_keys (kid, algorithm, sequence, public_jwk, sealed, activates_at, retires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING
