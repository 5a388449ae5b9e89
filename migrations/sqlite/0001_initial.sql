-- The schema of the embedded database: the same tables and columns as in Postgres, with SQLite's types.
--
-- Ids and digests are blobs, times are microseconds since the Unix epoch, lists are JSON arrays of strings, and truth
-- is 0 or 1.

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    -- In lower case. NOCASE keeps ASCII addresses unique whatever writes them.
    email TEXT NOT NULL COLLATE NOCASE,
    username TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_verified INTEGER NOT NULL DEFAULT 0 CHECK (is_verified IN (0, 1)),
    is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX idx_users_email ON users (email);
CREATE UNIQUE INDEX idx_users_username ON users (username);

CREATE TABLE clients (
    id BLOB PRIMARY KEY,
    client_id TEXT NOT NULL,
    client_name TEXT NOT NULL,
    client_secret_hash TEXT,
    client_type TEXT NOT NULL CHECK (client_type IN ('confidential', 'public')),
    redirect_uris TEXT NOT NULL DEFAULT '[]' CHECK (json_type(redirect_uris) = 'array'),
    client_uri TEXT,
    logo_uri TEXT,
    auth_method TEXT NOT NULL DEFAULT 'client_secret_basic',
    require_pkce INTEGER NOT NULL DEFAULT 1 CHECK (require_pkce IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    grant_types TEXT NOT NULL DEFAULT '["authorization_code","refresh_token"]'
        CHECK (json_type(grant_types) = 'array'),
    resources TEXT NOT NULL DEFAULT '[]' CHECK (json_type(resources) = 'array'),
    introspect_all INTEGER NOT NULL DEFAULT 0 CHECK (introspect_all IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX idx_clients_client_id ON clients (client_id);

CREATE TABLE scopes (
    id BLOB PRIMARY KEY,
    scope_name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX idx_scopes_name ON scopes (scope_name);

INSERT INTO scopes (id, scope_name, description, is_default, created_at, updated_at)
SELECT randomblob(16), column1, column2, column3, unixepoch() * 1000000, unixepoch() * 1000000
FROM (
    VALUES
        ('read', 'Read access to user data', 1),
        ('write', 'Write access to user data', 0),
        ('profile', 'Access to user profile information', 1),
        ('admin', 'Administrative access', 0)
);

CREATE TABLE client_scopes (
    client_id BLOB NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope_id BLOB NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
    PRIMARY KEY (client_id, scope_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_client_scopes_scope_id ON client_scopes (scope_id);

-- One authorization of a client by a person: the family that its code and tokens belong to. Revoking it revokes them.
CREATE TABLE grants (
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id BLOB NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL CHECK (json_type(scopes) = 'array'),
    resources TEXT NOT NULL DEFAULT '[]' CHECK (json_type(resources) = 'array'),
    authenticated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX idx_grants_user_id ON grants (user_id);
CREATE INDEX idx_grants_client_id ON grants (client_id);
CREATE INDEX idx_grants_expires_at ON grants (expires_at);

-- A refresh token is one row for as long as its grant lives: a rotation updates it. expires_at is the grant's end. A
-- row of type 'access' is the revocation of that access token.
CREATE TABLE tokens (
    id BLOB PRIMARY KEY,
    jti TEXT NOT NULL,
    user_id BLOB REFERENCES users (id) ON DELETE CASCADE,
    client_id BLOB NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    token_type TEXT NOT NULL CHECK (token_type IN ('access', 'refresh')),
    scopes TEXT CHECK (json_type(scopes) = 'array'),
    expires_at INTEGER NOT NULL,
    invalidated INTEGER NOT NULL DEFAULT 0 CHECK (invalidated IN (0, 1)),
    created_at INTEGER NOT NULL,
    grant_id BLOB REFERENCES grants (id) ON DELETE CASCADE,
    generation INTEGER,
    digest BLOB,
    previous_digest BLOB,
    rotated_at INTEGER,
    idle_expires_at INTEGER,
    -- When the row is of no use any more.
    ends_at INTEGER NOT NULL GENERATED ALWAYS AS (min(expires_at, coalesce(idle_expires_at, expires_at))) VIRTUAL,
    CHECK (
        token_type = 'access'
        OR (
            user_id IS NOT NULL AND grant_id IS NOT NULL AND generation IS NOT NULL AND digest IS NOT NULL
            AND rotated_at IS NOT NULL AND idle_expires_at IS NOT NULL
        )
    )
) STRICT;
CREATE UNIQUE INDEX idx_tokens_jti ON tokens (jti);
CREATE UNIQUE INDEX idx_tokens_grant_id ON tokens (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX idx_tokens_user_id ON tokens (user_id);
CREATE INDEX idx_tokens_client_id ON tokens (client_id);
CREATE INDEX idx_tokens_ends_at ON tokens (ends_at);

-- Of a code, the digest is kept.
CREATE TABLE authorization_codes (
    id BLOB PRIMARY KEY DEFAULT (randomblob(16)),
    code BLOB NOT NULL,
    client_id BLOB NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL CHECK (json_type(scopes) = 'array'),
    code_challenge TEXT,
    code_challenge_method TEXT NOT NULL DEFAULT 'S256',
    redirect_uri TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    grant_id BLOB NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    redeemed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX idx_authorization_codes_code ON authorization_codes (code);
CREATE INDEX idx_authorization_codes_grant_id ON authorization_codes (grant_id);
CREATE INDEX idx_authorization_codes_client_id ON authorization_codes (client_id);
CREATE INDEX idx_authorization_codes_user_id ON authorization_codes (user_id);
CREATE INDEX idx_authorization_codes_expires_at ON authorization_codes (expires_at);

-- A browser's login, found by the digest of its cookie.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    digest BLOB NOT NULL,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX idx_sessions_digest ON sessions (digest);
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at);

-- What a person allowed a client before.
CREATE TABLE consents (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id BLOB NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL CHECK (json_type(scopes) = 'array'),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_consents_client_id ON consents (client_id);

-- Signing keys, the private part sealed.
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed BLOB NOT NULL,
    activates_at INTEGER NOT NULL,
    retires_at INTEGER
) STRICT;
CREATE UNIQUE INDEX idx_signing_keys_sequence ON signing_keys (sequence);
