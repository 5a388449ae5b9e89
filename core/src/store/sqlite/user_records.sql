-- Accounts as operators see them, by id.
-- ?1 the one of this id, if only that is wanted, ?2 part of address or name in lower case, ?3 whether verified, ?4 whether an
-- administrator, ?5 whether active, ?6 the id to begin behind, ?7 limit
SELECT json_object(
    'id', hex(id),
    'email', email,
    'username', username,
    'verified', json(iif(is_verified, 'true', 'false')),
    'admin', json(iif(is_admin, 'true', 'false')),
    'active', json(iif(is_active, 'true', 'false')),
    'created_at', created_at,
    'updated_at', updated_at
) AS document
FROM users
WHERE (?1 IS NULL OR id = ?1)
    AND (?2 IS NULL OR instr(lower(email), ?2) > 0 OR instr(lower(username), ?2) > 0)
    AND (?3 IS NULL OR is_verified = ?3)
    AND (?4 IS NULL OR is_admin = ?4)
    AND (?5 IS NULL OR is_active = ?5)
    AND (?6 IS NULL OR id > ?6)
ORDER BY id
LIMIT ?7
