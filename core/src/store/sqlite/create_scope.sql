-- Registers a scope, unless its name is taken.
-- ?1 key, ?2 name, ?3 description, ?4 whether it is a default, ?5 whether it is active, ?6 now
INSERT INTO scopes (id, scope_name, description, is_default, is_active, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
ON CONFLICT DO NOTHING
