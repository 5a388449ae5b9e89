-- Lets a client ask for these scopes, as far as they exist.
-- ?1 client_id, ?2 names
INSERT INTO client_scopes (client_id, scope_id)
SELECT clients.id, scopes.id
FROM clients
JOIN scopes ON scope_name IN (SELECT value FROM json_each(?2))
WHERE clients.client_id = ?1
