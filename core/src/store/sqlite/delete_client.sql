-- Removes a client, and with it its grants, codes, tokens and consents.
-- ?1 client_id
DELETE FROM clients WHERE client_id = ?1
