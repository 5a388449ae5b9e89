-- Changes a scope, unless it was changed since it was read.
-- ?1 name, ?2 description, ?3 whether it is granted unasked, ?4 whether it is active, ?5 when it had been changed last, ?6 now
UPDATE scopes
SET description = ?2, is_default = ?3, is_active = ?4, updated_at = ?6
WHERE scope_name = ?1 AND updated_at = ?5
