-- Widens the first six tables and adds grants, sessions, consents and signing keys.
--
-- No statement rewrites a table or validates its rows: columns come without a default or with a constant one, and
-- what is built over existing rows is one small index on users. Each lock is held for moments, and waits for no more
-- than five seconds, so that a forgotten transaction makes this fail (run it again) and not everything else stand
-- still.
SET LOCAL lock_timeout = '5s';

-- One unique index where the first schema had a constraint and, beside it, an index on the same column. The name that
-- operators know stays.
DROP INDEX IF EXISTS idx_users_email, idx_users_username, idx_clients_client_id, idx_scopes_name, idx_tokens_jti,
    idx_authorization_codes_code;
ALTER TABLE users RENAME CONSTRAINT users_email_key TO idx_users_email;
ALTER TABLE users RENAME CONSTRAINT users_username_key TO idx_users_username;
ALTER TABLE clients RENAME CONSTRAINT clients_client_id_key TO idx_clients_client_id;
ALTER TABLE scopes RENAME CONSTRAINT scopes_scope_name_key TO idx_scopes_name;
ALTER TABLE tokens RENAME CONSTRAINT tokens_jti_key TO idx_tokens_jti;
ALTER TABLE authorization_codes RENAME CONSTRAINT authorization_codes_code_key TO idx_authorization_codes_code;

-- The defaults were an extension's function on databases that the guide's SQL made.
ALTER TABLE users
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ADD COLUMN is_active BOOLEAN NOT NULL DEFAULT true;

-- Addresses are found in any case.
CREATE INDEX IF NOT EXISTS idx_users_email_lower ON users (lower(email));

ALTER TABLE clients
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN client_uri TYPE TEXT,
    ADD COLUMN grant_types TEXT[] NOT NULL DEFAULT '{authorization_code,refresh_token}',
    ADD COLUMN resources TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN introspect_all BOOLEAN NOT NULL DEFAULT false;

ALTER TABLE scopes
    ALTER COLUMN id SET DEFAULT gen_random_uuid();

INSERT INTO scopes (scope_name, description, is_default, is_active) VALUES
    ('read', 'Read access to user data', true, true),
    ('write', 'Write access to user data', false, true),
    ('profile', 'Access to user profile information', true, true),
    ('admin', 'Administrative access', false, true)
ON CONFLICT (scope_name) DO NOTHING;

-- One authorization of a client by a person: the family that its code and tokens belong to. Revoking it revokes them.
CREATE TABLE grants (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT[] NOT NULL,
    resources TEXT[] NOT NULL DEFAULT '{}',
    authenticated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE
);
CREATE INDEX idx_grants_user_id ON grants (user_id);
CREATE INDEX idx_grants_client_id ON grants (client_id);
CREATE INDEX idx_grants_expires_at ON grants (expires_at);
CREATE INDEX idx_grants_revoked_at ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

-- A refresh token is one row for as long as its grant lives: a rotation updates the row, in place (HOT), because it
-- touches no indexed column but idle_expires_on, once a day. expires_at is the grant's end. A row of type 'access' is
-- the revocation of that access token. Rows of the first schema have no grant: they are no use to anyone any more, and
-- vanish when they expire.
ALTER TABLE tokens
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN user_id DROP NOT NULL,
    ADD COLUMN grant_id UUID REFERENCES grants (id) ON DELETE CASCADE,
    ADD COLUMN generation BIGINT,
    ADD COLUMN digest BYTEA,
    ADD COLUMN previous_digest BYTEA,
    ADD COLUMN rotated_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN idle_expires_at TIMESTAMP WITH TIME ZONE,
    -- The UTC day of idle_expires_at, by which the sweep finds the row.
    ADD COLUMN idle_expires_on DATE,
    SET (fillfactor = 80);
CREATE UNIQUE INDEX idx_tokens_grant_id ON tokens (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX idx_tokens_idle_expires_on ON tokens (idle_expires_on) WHERE idle_expires_on IS NOT NULL;

-- Tokens and codes go with their grant, and the grant with its user and client. References of their own to those two
-- would have every token lock the rows of its client and user once more.
ALTER TABLE tokens
    DROP CONSTRAINT IF EXISTS tokens_user_id_fkey,
    DROP CONSTRAINT IF EXISTS tokens_client_id_fkey;
ALTER TABLE authorization_codes
    DROP CONSTRAINT IF EXISTS authorization_codes_user_id_fkey,
    DROP CONSTRAINT IF EXISTS authorization_codes_client_id_fkey;

-- Of a code, the digest is kept. Codes of the first schema have no grant, so nobody can redeem them: such a code lives
-- for minutes, and its owner logs in again.
ALTER TABLE authorization_codes
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN code_challenge DROP NOT NULL,
    ADD COLUMN grant_id UUID REFERENCES grants (id) ON DELETE CASCADE,
    ADD COLUMN redeemed_at TIMESTAMP WITH TIME ZONE,
    SET (fillfactor = 80);
CREATE INDEX idx_authorization_codes_grant_id ON authorization_codes (grant_id) WHERE grant_id IS NOT NULL;

-- A browser's login, found by the digest of its cookie.
CREATE TABLE sessions (
    id UUID PRIMARY KEY,
    digest BYTEA NOT NULL CONSTRAINT idx_sessions_digest UNIQUE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    authenticated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at);

-- What a person allowed a client before.
CREATE TABLE consents (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT[] NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX idx_consents_client_id ON consents (client_id);

-- Signing keys, the private part sealed. public_jwk is text because it is published byte for byte.
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    activates_at TIMESTAMP WITH TIME ZONE NOT NULL,
    retires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT idx_signing_keys_sequence UNIQUE (sequence)
);
