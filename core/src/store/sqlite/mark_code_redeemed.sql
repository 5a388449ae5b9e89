-- ?1 digest of the code, ?2 now
UPDATE authorization_codes SET redeemed_at = ?2 WHERE code = ?1
