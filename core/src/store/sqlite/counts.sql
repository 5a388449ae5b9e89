-- ?1 now
SELECT
    (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM clients) AS clients,
    (SELECT count(*) FROM scopes) AS scopes,
    (SELECT count(*) FROM sessions WHERE expires_at > ?1) AS sessions,
    (SELECT count(*) FROM grants WHERE expires_at > ?1 AND revoked_at IS NULL) AS grants
