-- Every scope, by name.
SELECT scope_name::text, COALESCE(description, ''), COALESCE(is_default, false), COALESCE(is_active, true)
FROM scopes
ORDER BY scope_name COLLATE "C"
