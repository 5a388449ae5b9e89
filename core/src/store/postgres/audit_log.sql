-- Records of the audit log, the newest first.
-- $1 the record to begin behind, if any, $2 limit, $3 event, $4 outcome, $5 user, $6 client, $7 since, $8 until (exclusive)
SELECT
    id,
    (extract(epoch FROM occurred_at) * 1000000)::int8,
    event,
    outcome,
    actor,
    user_id,
    client_id,
    grant_id,
    client_address,
    user_agent,
    request_id,
    detail
FROM audit_log
WHERE id < COALESCE($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    AND ($3::text IS NULL OR event = $3::text)
    AND ($4::text IS NULL OR outcome = $4::text)
    AND ($5::uuid IS NULL OR user_id = $5::uuid)
    AND ($6::text IS NULL OR client_id = $6::text)
    AND ($7::int8 IS NULL OR occurred_at >= to_timestamp(0) + $7::int8 * interval '1 microsecond')
    AND ($8::int8 IS NULL OR occurred_at < to_timestamp(0) + $8::int8 * interval '1 microsecond')
ORDER BY id DESC
LIMIT $2::int8
