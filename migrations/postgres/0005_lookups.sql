-- What several statements read alike: a client as the server knows it, and the published signing keys as one value, which
-- any statement can bring along.

SET LOCAL lock_timeout = '5s';

CREATE VIEW client_details AS
SELECT
    c.id,
    c.client_id::text AS client_id,
    c.client_name::text AS name,
    c.client_type::text AS client_type,
    c.client_secret_hash::text AS secret_hash,
    array_remove(c.redirect_uris, NULL) AS redirect_uris,
    c.client_uri,
    c.auth_method::text AS auth_method,
    COALESCE(c.require_pkce, true) AS require_pkce,
    c.grant_types,
    c.resources,
    c.introspect_all,
    COALESCE(c.is_active, true) AS is_active,
    (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
            'name', s.scope_name,
            'description', COALESCE(s.description, ''),
            'is_default', COALESCE(s.is_default, false)
        )), '[]')
        FROM client_scopes cs
        JOIN scopes s ON s.id = cs.scope_id
        WHERE cs.client_id = c.id AND COALESCE(s.is_active, true)
    ) AS scopes
FROM clients c;

-- The keys that are published at this time (RFC 7517 §5), oldest first. Null, and no work, where the time is null. Times are
-- microseconds since the Unix epoch.
CREATE FUNCTION published_signing_keys(at_time bigint) RETURNS jsonb
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
        'kid', kid,
        'algorithm', algorithm,
        'sequence', sequence,
        'public_jwk', public_jwk,
        'sealed', translate(encode(sealed, 'base64'), E'\n', ''),
        'activates_at', (extract(epoch FROM activates_at) * 1000000)::bigint,
        'retires_at', (extract(epoch FROM retires_at) * 1000000)::bigint
    ) ORDER BY activates_at, sequence, kid), '[]')
    FROM signing_keys
    WHERE retires_at IS NULL OR retires_at > to_timestamp(0) + at_time * interval '1 microsecond'
$$;
