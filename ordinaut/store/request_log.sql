-- query find: The response to an earlier request with this id.
SELECT hash, scopes, answer
FROM request_log
WHERE project = :project AND agent = :agent AND method = :method AND request_id = :request_id
  AND create_time > clock_now() - interval '24 hours';

-- query claim: Inserts a request; a concurrent one with this id waits here until the other transaction ends. A row
-- older than 24 hours is replaced.
INSERT INTO request_log AS r (project, agent, method, request_id, hash, scopes, create_time)
VALUES (:project, :agent, :method, :request_id, :hash, :scopes::text[], clock_now())
ON CONFLICT (project, agent, method, request_id) DO UPDATE
SET hash = excluded.hash, scopes = excluded.scopes, answer = NULL, create_time = excluded.create_time
WHERE r.create_time <= clock_now() - interval '24 hours'
RETURNING request_id;

-- query store_response: Stores the response for later requests with this id.
UPDATE request_log SET answer = :answer
WHERE project = :project AND agent = :agent AND method = :method AND request_id = :request_id;

-- query delete_old: Deletes requests older than 24 hours.
DELETE FROM request_log
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM request_log WHERE create_time <= clock_now() - interval '24 hours' LIMIT :batch));
