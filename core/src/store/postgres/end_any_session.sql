-- Ends a session, whosever it is.
-- $1 id, $2 audit record
WITH ended AS (
    DELETE FROM sessions WHERE id = $1::uuid RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM ended, jsonb_populate_record(NULL::audit_log, $2::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM ended)
