-- Every scope.
SELECT scope_name, description, is_default, is_active FROM scopes ORDER BY scope_name
