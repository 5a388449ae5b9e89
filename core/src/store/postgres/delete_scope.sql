-- Removes a scope, which no client can ask for any more.
-- $1 name, $2 audit record
WITH deleted AS (
    DELETE FROM scopes WHERE scope_name = $1::text RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM deleted, jsonb_populate_record(NULL::audit_log, $2::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM deleted)
