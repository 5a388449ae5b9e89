-- Has the keys before a new one retire, whatever their algorithm, unless they do so earlier.
-- ?1 number of the new key, ?2 end
UPDATE signing_keys SET retires_at = ?2 WHERE sequence < ?1 AND (retires_at IS NULL OR retires_at > ?2)
