-- Takes every scope from a client.
-- ?1 client_id
DELETE FROM client_scopes WHERE client_id = (SELECT id FROM clients WHERE client_id = ?1)
