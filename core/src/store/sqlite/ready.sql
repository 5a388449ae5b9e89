-- The newest migration that was applied. Fails where none ever was.
SELECT coalesce(max(version), 0) AS version FROM _sqlx_migrations WHERE success
