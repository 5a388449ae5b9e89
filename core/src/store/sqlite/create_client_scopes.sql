-- Lets a client ask for these scopes, as far as they exist.
-- ?1 key of the client, ?2 names
INSERT INTO client_scopes (client_id, scope_id)
SELECT ?1, id FROM scopes WHERE scope_name IN (SELECT value FROM json_each(?2))
