-- Grants that are over, and have nothing left that would go along unnoticed.
-- ?1 now, ?2 limit
DELETE FROM grants
WHERE id IN (
    SELECT id
    FROM grants
    WHERE expires_at <= ?1
        AND NOT EXISTS (SELECT 1 FROM authorization_codes WHERE grant_id = grants.id)
        AND NOT EXISTS (SELECT 1 FROM tokens WHERE grant_id = grants.id)
    ORDER BY expires_at
    LIMIT ?2
)
