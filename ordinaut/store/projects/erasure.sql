-- Each search returns the next rows of a table after a key, in the order of the key, and whether they mention the
-- person. Each erasure takes keys that a search has returned.

-- query live_runs: Live runs that mention the person, with their steps, waits and approvals.
SELECT d.id::text AS key, concat('runs/', d.id) AS name,
  mentions(concat_ws(' ', d.params::text, d.event::text, d.labels::text, to_jsonb(d.cancel_reason)::text), :forms::text[], :pattern::text)
  OR EXISTS (
    SELECT FROM step_run AS s
    WHERE s.run = d.id AND mentions(concat_ws(' ', s.input::text, s.output::text, s.error::text), :forms, :pattern))
  OR EXISTS (SELECT FROM wait AS w WHERE w.run = d.id AND mentions(to_jsonb(w)::text, :forms, :pattern))
  OR EXISTS (SELECT FROM approval AS a WHERE a.run = d.id AND mentions(to_jsonb(a)::text, :forms, :pattern)) AS found
FROM due_work AS d
WHERE d.project = :project AND (:after::text = '' OR d.id > nullif(:after, '')::uuid)
ORDER BY d.id
LIMIT :size;

-- query runs: Ended runs that mention the person, with their steps and approvals.
SELECT r.id::text AS key, concat('runs/', r.id) AS name,
  mentions(concat_ws(' ', r.params::text, r.event::text, r.labels::text, r.output::text, r.error::text,
    to_jsonb(r.cancel_reason)::text), :forms::text[], :pattern::text)
  OR EXISTS (
    SELECT FROM step_run AS s
    WHERE s.run = r.id AND mentions(concat_ws(' ', s.input::text, s.output::text, s.error::text), :forms, :pattern))
  OR EXISTS (SELECT FROM approval AS a WHERE a.run = r.id AND mentions(to_jsonb(a)::text, :forms, :pattern)) AS found
FROM run AS r
WHERE r.project = :project AND (:after::text = '' OR r.id > nullif(:after, '')::uuid)
ORDER BY r.id
LIMIT :size;

-- fragment approvals_without_content: An approval keeps who decided what and when.
  message = '[erased]', data = NULL, input = NULL, edited_input = NULL, comment = '', answer_schema = NULL, editable = '{}'

-- query erase_runs: Ended runs keep their states and times. The error of a run also says that it cannot be retried.
WITH steps AS (
  UPDATE step_run
  SET input = NULL, output = NULL,
    error = CASE WHEN error IS NOT NULL THEN '{"code": "ERASED", "message": "the data of this step were erased"}'::jsonb END
  WHERE run = ANY(:keys::uuid[])
), approvals AS (
  UPDATE approval SET
-- include approvals_without_content
  WHERE run = ANY(:keys)
)
UPDATE run
SET params = '{}', event = NULL, labels = '{}', output = NULL, cancel_reason = '',
  error = CASE WHEN state <> 'SUCCEEDED' THEN '{"code": "ERASED", "message": "the data of this run were erased"}'::jsonb END
WHERE id = ANY(:keys);

-- query state_entries: State entries with the person in the key or in the value.
SELECT concat(x.namespace, '/', x.key) AS key, concat('state/', x.namespace, '/', x.key) AS name,
  mentions(concat_ws(' ', x.key, x.value::text), :forms::text[], :pattern::text) AS found
FROM state_entry AS x
WHERE x.project = :project AND (x.namespace, x.key) > (split_part(:after::text, '/', 1), substr(:after, strpos(:after, '/') + 1))
ORDER BY x.namespace, x.key
LIMIT :size;

-- query erase_state_entries: Entries are deleted without a tombstone, whose key could name the person.
DELETE FROM state_entry WHERE project = :project AND concat(namespace, '/', key) = ANY(:keys::text[]);

-- query events: Rows of the event log that mention the person; what the matcher has not seen yet is in use.
SELECT x.position::text AS key, concat('events/', x.position) AS name,
  mentions(x.events::text, :forms::text[], :pattern::text) AS found
FROM outbox AS x
WHERE x.project = :project AND x.position > coalesce(nullif(:after::text, ''), '-1')::bigint
  AND x.position + x.count - 1 <= (SELECT value FROM position WHERE name = 'matcher')
ORDER BY x.position
LIMIT :size;

-- query erase_events: Events that mention the person keep their topic and time.
UPDATE outbox AS x
SET events = (
  SELECT json_agg(
    CASE
      WHEN mentions(e.event::text, :forms::text[], :pattern::text)
      THEN (e.event::jsonb || '{"subject": "", "id": "", "source": "", "data": {}}')::json
      ELSE e.event
    END ORDER BY e.place)
  FROM json_array_elements(x.events) WITH ORDINALITY AS e (event, place))
WHERE x.project = :project AND x.position = ANY(:keys::bigint[]);

-- query event_ids: Ids of events that mention the person.
SELECT x.uid::text AS key, '' AS name,
  mentions(concat_ws(' ', to_jsonb(x.id), to_jsonb(x.source)), :forms::text[], :pattern::text) AS found
FROM event AS x
WHERE x.project = :project AND (:after::text = '' OR x.uid > nullif(:after, '')::uuid)
ORDER BY x.uid
LIMIT :size;

-- query erase_event_ids: The event with such an id may be published again.
DELETE FROM event WHERE project = :project AND uid = ANY(:keys::uuid[]);

-- query approvals: Decided approvals that mention the person and whose runs do not.
SELECT x.id::text AS key, concat('approvals/', x.id) AS name,
  mentions(to_jsonb(x)::text, :forms::text[], :pattern::text) AS found
FROM approval AS x
WHERE x.project = :project AND x.state <> 'PENDING' AND (:after::text = '' OR x.id > nullif(:after, '')::uuid)
ORDER BY x.id
LIMIT :size;

-- query erase_approvals: Their content.
UPDATE approval SET
-- include approvals_without_content
WHERE id = ANY(:keys::uuid[]);

-- query running_backfills: Running backfills.
SELECT b.uid::text AS key, concat('tasks/', t.name, '/backfills/', b.id) AS name,
  mentions(concat_ws(' ', b.params::text, to_jsonb(b.state_reason)::text), :forms::text[], :pattern::text) AS found
FROM backfill AS b JOIN task AS t ON t.uid = b.task
WHERE t.project = :project AND b.state = 'RUNNING' AND (:after::text = '' OR b.uid > nullif(:after, '')::uuid)
ORDER BY b.uid
LIMIT :size;

-- query backfills: Ended backfills.
SELECT b.uid::text AS key, '' AS name,
  mentions(concat_ws(' ', b.params::text, to_jsonb(b.state_reason)::text), :forms::text[], :pattern::text) AS found
FROM backfill AS b JOIN task AS t ON t.uid = b.task
WHERE t.project = :project AND b.state <> 'RUNNING' AND (:after::text = '' OR b.uid > nullif(:after, '')::uuid)
ORDER BY b.uid
LIMIT :size;

-- query erase_backfills: Their params and reasons.
UPDATE backfill SET params = '{}', state_reason = '' WHERE uid = ANY(:keys::uuid[]);

-- fragment version_content: What may mention a person in a version.
  mentions(concat_ws(' ', v.pipeline::text, v.params::text, v.params_schema::text, v.schedule::text, v.run_policy::text),
    :forms::text[], :pattern::text)

-- fragment in_use: The current version of a task, or that of a live run or a running backfill.
  (t.delete_time IS NULL AND v.version = t.version
    OR EXISTS (SELECT FROM due_work AS d WHERE d.task = v.task AND d.task_version = v.version)
    OR EXISTS (SELECT FROM backfill AS b WHERE b.task = v.task AND b.task_version = v.version AND b.state = 'RUNNING'))

-- fragment after_version: Versions after a key, in its order.
  AND (:after::text = '' OR (v.task, v.version) > (
    nullif(split_part(:after, '/', 1), '')::uuid, nullif(split_part(:after, '/', 2), '')::bigint))
ORDER BY v.task, v.version
LIMIT :size;

-- query used_versions: Versions that are in use.
SELECT concat(v.task, '/', v.version) AS key,
  CASE WHEN t.name = '' THEN concat('a pipeline of ', t.owner) ELSE concat('tasks/', t.name) END AS name,
-- include version_content
  AS found
FROM task_version AS v JOIN task AS t ON t.uid = v.task
WHERE t.project = :project AND
-- include in_use
-- include after_version

-- query task_versions: Other versions, and documents of runs without a task.
SELECT concat(v.task, '/', v.version) AS key, '' AS name,
-- include version_content
  AS found
FROM task_version AS v JOIN task AS t ON t.uid = v.task
WHERE t.project = :project AND NOT
-- include in_use
-- include after_version

-- query erase_task_versions: Nothing of such a version is kept but its number; a version that a run has come to use in
-- the meantime stays.
UPDATE task_version AS v
SET pipeline = '{"steps": [], "version": 1}', params = '{}', params_schema = NULL, schedule = '{}'
FROM task AS t
WHERE t.uid = v.task AND concat(v.task, '/', v.version) = ANY(:keys::text[]) AND NOT
-- include in_use
;

-- query used_tasks: Tasks that are not deleted.
SELECT t.uid::text AS key, concat('tasks/', t.name) AS name,
  mentions(concat_ws(' ', to_jsonb(t.display_name), to_jsonb(t.description), t.labels, to_jsonb(t.state_reason)), :forms::text[], :pattern::text) AS found
FROM task AS t
WHERE t.project = :project AND t.delete_time IS NULL AND (:after::text = '' OR t.uid > nullif(:after, '')::uuid)
ORDER BY t.uid
LIMIT :size;

-- query tasks: Deleted tasks.
SELECT t.uid::text AS key, '' AS name,
  mentions(concat_ws(' ', to_jsonb(t.display_name), to_jsonb(t.description), t.labels, to_jsonb(t.state_reason)), :forms::text[], :pattern::text) AS found
FROM task AS t
WHERE t.project = :project AND t.delete_time IS NOT NULL AND (:after::text = '' OR t.uid > nullif(:after, '')::uuid)
ORDER BY t.uid
LIMIT :size;

-- query erase_tasks: Their texts.
UPDATE task SET display_name = '', description = '', labels = '{}', state_reason = '' WHERE uid = ANY(:keys::uuid[]);

-- query used_tools: Tools.
SELECT x.name AS key, concat('tools/', x.name) AS name,
  mentions(x.definition::text, :forms::text[], :pattern::text) AS found
FROM tool AS x
WHERE x.project = :project AND x.name > :after::text
ORDER BY x.name
LIMIT :size;

-- query used_agents: Agents.
SELECT x.name AS key, concat('agents/', x.name) AS name,
  mentions(concat_ws(' ', x.name, to_jsonb(x.display_name)), :forms::text[], :pattern::text) AS found
FROM agent AS x
WHERE x.project = :project AND x.name > :after::text
ORDER BY x.name
LIMIT :size;

-- fragment request_key: Identifies a stored response.
concat_ws(' ', x.agent, x.method, x.request_id)

-- query responses: Stored responses. They are messages, not text, so only the exact forms are found.
SELECT
-- include request_key
  AS key, '' AS name,
  EXISTS (SELECT FROM unnest(:forms::text[]) AS f (form) WHERE position(convert_to(form, 'UTF8') IN x.answer) > 0) AS found
FROM request_log AS x
WHERE x.project = :project AND
-- include request_key
  > :after::text
ORDER BY 1
LIMIT :size;

-- query erase_responses: A repeated request is refused as one whose response contained a secret.
UPDATE request_log AS x SET answer = NULL
WHERE x.project = :project AND
-- include request_key
  = ANY(:keys::text[]);
