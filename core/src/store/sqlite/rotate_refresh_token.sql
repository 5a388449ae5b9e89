-- Puts the successor in the place of a refresh token.
-- ?1 key, ?2 digest of the successor's secret, ?3 now, ?4 when it ends unless it is used
UPDATE tokens
SET generation = generation + 1, previous_digest = digest, digest = ?2, rotated_at = ?3, idle_expires_at = ?4
WHERE id = ?1
