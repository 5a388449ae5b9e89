-- What would become of a change of an account.
-- ?1 id, ?2 address in lower case, ?3 name, ?4 whether it is to be an administrator who can log in, ?5 when it had been changed last
SELECT CASE
    WHEN account.updated_at <> ?5 THEN 'stale'
    WHEN NOT ?4 AND account.is_admin AND account.is_active
        AND (SELECT count(*) FROM users WHERE is_admin AND is_active) = 1 THEN 'last_administrator'
    WHEN EXISTS (SELECT 1 FROM users WHERE id <> ?1 AND (email = ?2 OR username = ?3)) THEN 'taken'
    ELSE 'changed'
END AS outcome
FROM users AS account
WHERE account.id = ?1
