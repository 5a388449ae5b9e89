-- Stores the code that leads to a grant.
-- ?1 grant, ?2 digest of the code, ?3 challenge, ?4 redirect URI, ?5 end
INSERT INTO authorization_codes (
    code, client_id, user_id, scopes, code_challenge, redirect_uri, expires_at, created_at, grant_id
)
SELECT ?2, client_id, user_id, scopes, ?3, ?4, ?5, created_at, id FROM grants WHERE id = ?1
