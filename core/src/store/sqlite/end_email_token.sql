-- ?1 digest of the token
DELETE FROM email_tokens WHERE digest = ?1
