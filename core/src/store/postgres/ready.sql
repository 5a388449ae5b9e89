-- The newest migration that was applied.
SELECT COALESCE(max(version), 0)::int8
FROM _sqlx_migrations
WHERE success
