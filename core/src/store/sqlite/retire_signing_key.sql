-- ?1 algorithm, ?2 number, ?3 end
UPDATE signing_keys SET retires_at = ?3 WHERE algorithm = ?1 AND sequence = ?2
