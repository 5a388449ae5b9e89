-- Records of the audit log, the newest first.
-- $1 the record to begin behind, if any, $2 limit
SELECT
    id,
    (extract(epoch FROM occurred_at) * 1000000)::int8,
    event,
    outcome,
    user_id,
    client_id,
    grant_id,
    client_address,
    user_agent,
    request_id,
    detail
FROM audit_log
WHERE id < COALESCE($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT $2::int8
