-- Ends one session of a person.
-- $1 user, $2 session
WITH ended AS (
    DELETE FROM sessions WHERE id = $2::uuid AND user_id = $1::uuid RETURNING 1
)
SELECT EXISTS (SELECT FROM ended)
