-- Removes a client, and with it its grants, codes, tokens and consents.
-- $1 client_id, $2 audit record
WITH deleted AS (
    DELETE FROM clients WHERE client_id = $1::text RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM deleted, jsonb_populate_record(NULL::audit_log, $2::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM deleted)
