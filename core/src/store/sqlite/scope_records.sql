-- Scopes as operators see them, by name.
-- ?1 the one of this name, if only that is wanted, ?2 part of name or description in lower case, ?3 whether active,
-- ?4 the name to begin behind, ?5 limit
SELECT json_object(
    'name', scope_name,
    'description', description,
    'default', json(iif(is_default, 'true', 'false')),
    'active', json(iif(is_active, 'true', 'false')),
    'created_at', created_at,
    'updated_at', updated_at
) AS document
FROM scopes
WHERE (?1 IS NULL OR scope_name = ?1)
    AND (?2 IS NULL OR instr(lower(scope_name), ?2) > 0 OR instr(lower(description), ?2) > 0)
    AND (?3 IS NULL OR is_active = ?3)
    AND (?4 IS NULL OR scope_name > ?4)
ORDER BY scope_name
LIMIT ?5
