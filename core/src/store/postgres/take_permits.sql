-- Takes permits: counts what is asked for in the key's window, or opens a new one where that is over. What was granted
-- follows from the count: limit.rs.
-- $1 key, $2 how many, $3 now, $4 end of a window that begins now
INSERT INTO rate_limits AS r (key, used, ends_at)
VALUES ($1::bytea, $2::int8, to_timestamp(0) + $4::int8 * interval '1 microsecond')
ON CONFLICT (key) DO UPDATE
SET used = EXCLUDED.used
        + CASE WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.used ELSE 0 END,
    ends_at = CASE
        WHEN r.ends_at > to_timestamp(0) + $3::int8 * interval '1 microsecond' THEN r.ends_at
        ELSE EXCLUDED.ends_at
    END
RETURNING r.used, (extract(epoch FROM r.ends_at) * 1000000)::int8
