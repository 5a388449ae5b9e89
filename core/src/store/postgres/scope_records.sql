-- Scopes as operators see them, by name.
-- $1 the one of this name, if only that is wanted, $2 part of name or description in lower case, $3 whether active,
-- $4 the name to begin behind, $5 limit
SELECT jsonb_build_object(
    'name', scope_name,
    'description', COALESCE(description, ''),
    'default', COALESCE(is_default, false),
    'active', COALESCE(is_active, true),
    'created_at', COALESCE((extract(epoch FROM created_at) * 1000000)::int8, 0),
    'updated_at', COALESCE((extract(epoch FROM updated_at) * 1000000)::int8, 0)
)
FROM scopes
WHERE ($1::text IS NULL OR scope_name = $1::text)
    AND ($2::text IS NULL OR position($2::text IN lower(scope_name)) > 0 OR position($2::text IN lower(description)) > 0)
    AND ($3::bool IS NULL OR COALESCE(is_active, true) = $3::bool)
    AND ($4::text IS NULL OR scope_name COLLATE "C" > $4::text)
ORDER BY scope_name COLLATE "C"
LIMIT $5::int8
