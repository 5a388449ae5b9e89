-- Accounts of people: tokens that travel by e-mail, outgoing mail, and where a login or an authorization came from.

ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN device TEXT;
ALTER TABLE grants ADD COLUMN address TEXT;
ALTER TABLE grants ADD COLUMN device TEXT;

-- What a link in a mail stands for; of its token, the digest is kept. A newer one of the same purpose takes its place.
CREATE TABLE email_tokens (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    digest BLOB NOT NULL,
    -- The address that it was sent to.
    email TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX idx_email_tokens_digest ON email_tokens (digest);
CREATE INDEX idx_email_tokens_expires_at ON email_tokens (expires_at);

-- Mail to be delivered. The body is sealed, since it holds such a link, and the row goes when the mail has gone.
CREATE TABLE outbox (
    id BLOB PRIMARY KEY,
    -- None: there is no such account, and the row is there to have taken the same time. It is dropped instead of sent.
    recipient TEXT,
    subject TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    -- After this it is of no use to anybody.
    expires_at INTEGER NOT NULL,
    -- How often it was taken up.
    attempts INTEGER NOT NULL DEFAULT 0,
    -- When it is to be taken up (again); none: it was given up. Taking it up sets this to the end of the lease.
    due_at INTEGER,
    last_error TEXT
) STRICT;
CREATE INDEX idx_outbox_due_at ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_outbox_expires_at ON outbox (expires_at);
