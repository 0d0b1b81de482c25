-- query find: The answer to an earlier request with this id.
SELECT hash, answer
FROM request_log
WHERE project = :project AND agent = :agent AND method = :method AND request_id = :request_id
  AND create_time > clock_now() - interval '24 hours';

-- query claim: The first of a request's copies gets a row; one that runs beside it waits here for its end.
-- An answer older than a day is nobody's: its row is taken over.
INSERT INTO request_log AS r (project, agent, method, request_id, hash, create_time)
VALUES (:project, :agent, :method, :request_id, :hash, clock_now())
ON CONFLICT (project, agent, method, request_id) DO UPDATE
SET hash = excluded.hash, answer = NULL, create_time = excluded.create_time
WHERE r.create_time <= clock_now() - interval '24 hours'
RETURNING request_id;

-- query keep: The answer, for copies of the request that come later.
UPDATE request_log SET answer = :answer
WHERE project = :project AND agent = :agent AND method = :method AND request_id = :request_id;

-- query forget: Answers older than a day.
DELETE FROM request_log
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM request_log WHERE create_time <= clock_now() - interval '24 hours' LIMIT :batch));
