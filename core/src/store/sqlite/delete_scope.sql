-- Removes a scope, which no client can ask for any more.
-- ?1 name
DELETE FROM scopes WHERE scope_name = ?1
