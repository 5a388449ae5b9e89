-- Ends a browser's login, and records the event as that person's. One row: whose it was, if there was one.
-- $1 digest of the cookie, $2 audit record
WITH ended AS (
    DELETE FROM sessions WHERE digest = $1::bytea RETURNING user_id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.*
    FROM ended, jsonb_populate_record(NULL::audit_log, $2::jsonb || jsonb_build_object('user_id', ended.user_id)) AS e
    WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT (SELECT user_id FROM ended)
