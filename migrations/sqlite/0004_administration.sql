-- What operators administer: secrets that rotate with an overlap, who did what, and the scopes of the admin API.

ALTER TABLE clients ADD COLUMN previous_secret_hash TEXT;
ALTER TABLE clients ADD COLUMN previous_secret_expires_at INTEGER;

-- Who did it, where that is not the person that it is about.
ALTER TABLE audit_log ADD COLUMN actor TEXT;

INSERT INTO scopes (id, scope_name, description, created_at, updated_at)
SELECT randomblob(16), column1, column2, unixepoch() * 1000000, unixepoch() * 1000000
FROM (
    VALUES
        ('admin:clients:read', 'See applications that are registered here'),
        ('admin:clients:write', 'Register, change and remove applications'),
        ('admin:scopes:read', 'See scopes'),
        ('admin:scopes:write', 'Create, change and remove scopes'),
        ('admin:users:read', 'See accounts of people, where they are logged in and what they allowed'),
        ('admin:users:write', 'Create, change, lock and remove accounts of people, and log them out'),
        ('admin:system:read', 'See signing keys, the audit log and the state of this server'),
        ('admin:system:write', 'Rotate signing keys and run the maintenance')
)
WHERE true
ON CONFLICT DO NOTHING;

-- The command line as a native application (RFC 8252): only an administrator can grant it anything.
INSERT INTO clients (id, client_id, client_name, client_type, redirect_uris, auth_method, created_at, updated_at)
VALUES (
    randomblob(16), 'authly-admin', 'Authly command line', 'public', '["http://127.0.0.1/callback"]', 'none',
    unixepoch() * 1000000, unixepoch() * 1000000
)
ON CONFLICT DO NOTHING;
INSERT INTO client_scopes (client_id, scope_id)
SELECT clients.id, scopes.id
FROM clients
JOIN scopes ON scope_name LIKE 'admin:%:read' OR scope_name LIKE 'admin:%:write'
WHERE client_id = 'authly-admin'
ON CONFLICT DO NOTHING;
