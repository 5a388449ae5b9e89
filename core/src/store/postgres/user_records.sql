-- Accounts as operators see them, by id.
-- $1 the one of this id, if only that is wanted, $2 part of address or name in lower case, $3 whether verified, $4 whether an
-- administrator, $5 whether active, $6 the id to begin behind, $7 limit
SELECT jsonb_build_object(
    'id', id,
    'email', email,
    'username', username,
    'verified', COALESCE(is_verified, false),
    'admin', COALESCE(is_admin, false),
    'active', is_active,
    'created_at', COALESCE((extract(epoch FROM created_at) * 1000000)::int8, 0),
    'updated_at', COALESCE((extract(epoch FROM updated_at) * 1000000)::int8, 0)
)
FROM users
WHERE ($1::uuid IS NULL OR id = $1::uuid)
    AND ($2::text IS NULL OR position($2::text IN lower(email)) > 0 OR position($2::text IN lower(username)) > 0)
    AND ($3::bool IS NULL OR COALESCE(is_verified, false) = $3::bool)
    AND ($4::bool IS NULL OR COALESCE(is_admin, false) = $4::bool)
    AND ($5::bool IS NULL OR is_active = $5::bool)
    AND ($6::uuid IS NULL OR id > $6::uuid)
ORDER BY id
LIMIT $7::int8
