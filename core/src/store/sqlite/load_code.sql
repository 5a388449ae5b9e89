-- A code with its grant, for the decision what becomes of it.
-- ?1 digest of the code
SELECT
    codes.client_id, codes.redirect_uri, codes.code_challenge, codes.expires_at,
    codes.redeemed_at IS NOT NULL AS is_redeemed,
    grants.id AS grant_id, grants.user_id, grants.scopes, grants.resources, grants.authenticated_at,
    grants.expires_at AS grant_expires_at,
    grants.revoked_at IS NOT NULL OR NOT users.is_active AS is_revoked
FROM authorization_codes AS codes
JOIN grants ON grants.id = codes.grant_id
JOIN users ON users.id = grants.user_id
WHERE codes.code = ?1
