-- What operators administer: secrets that rotate with an overlap, who did what, and the scopes of the admin API.
SET LOCAL lock_timeout = '5s';

ALTER TABLE clients
    ADD COLUMN previous_secret_hash TEXT,
    ADD COLUMN previous_secret_expires_at TIMESTAMP WITH TIME ZONE,
    ALTER COLUMN logo_uri TYPE TEXT;

-- Who did it, where that is not the person that it is about.
ALTER TABLE audit_log ADD COLUMN actor TEXT;

-- New columns of a view come last.
CREATE OR REPLACE VIEW client_details AS
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
    ) AS scopes,
    c.previous_secret_hash,
    (extract(epoch FROM c.previous_secret_expires_at) * 1000000)::bigint AS previous_secret_expires_at
FROM clients c;

INSERT INTO scopes (scope_name, description, is_default, is_active) VALUES
    ('admin:clients:read', 'See applications that are registered here', false, true),
    ('admin:clients:write', 'Register, change and remove applications', false, true),
    ('admin:scopes:read', 'See scopes', false, true),
    ('admin:scopes:write', 'Create, change and remove scopes', false, true),
    ('admin:users:read', 'See accounts of people, where they are logged in and what they allowed', false, true),
    ('admin:users:write', 'Create, change, lock and remove accounts of people, and log them out', false, true),
    ('admin:system:read', 'See signing keys, the audit log and the state of this server', false, true),
    ('admin:system:write', 'Rotate signing keys and run the maintenance', false, true)
ON CONFLICT (scope_name) DO NOTHING;

-- The command line as a native application (RFC 8252): only an administrator can grant it anything.
INSERT INTO clients (client_id, client_name, client_type, redirect_uris, auth_method, require_pkce, is_active)
VALUES ('authly-admin', 'Authly command line', 'public', '{http://127.0.0.1/callback}', 'none', true, true)
ON CONFLICT (client_id) DO NOTHING;
INSERT INTO client_scopes (client_id, scope_id)
SELECT c.id, s.id
FROM clients c
JOIN scopes s ON s.scope_name LIKE 'admin:%:read' OR s.scope_name LIKE 'admin:%:write'
WHERE c.client_id = 'authly-admin'
ON CONFLICT DO NOTHING;
