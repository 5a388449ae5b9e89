-- Removes an account with all that is its own, unless it is the last administrator (see update_user.sql).
-- $1 id, $2 audit record
WITH administrators AS (
    SELECT id FROM users WHERE COALESCE(is_admin, false) AND is_active ORDER BY id FOR UPDATE
), deleted AS (
    DELETE FROM users
    WHERE id = $1::uuid
        AND NOT ($1::uuid IN (SELECT id FROM administrators) AND (SELECT count(*) FROM administrators) = 1)
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM deleted, jsonb_populate_record(NULL::audit_log, $2::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT CASE
    WHEN EXISTS (SELECT FROM deleted) THEN 'changed'
    WHEN EXISTS (SELECT FROM administrators WHERE id = $1::uuid) THEN 'last_administrator'
    ELSE 'unknown'
END
