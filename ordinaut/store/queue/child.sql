-- query newest: The newest child of each key that has one; locks the rows.
WITH locked AS MATERIALIZED (
  SELECT c.run, c.key FROM run_child AS c WHERE c.key = ANY(:keys::uuid[]) ORDER BY c.key, c.run FOR UPDATE
)
SELECT DISTINCT ON (key) key, run FROM locked ORDER BY key, run DESC;

-- query states: The final states of those runs that have ended.
SELECT id, state FROM run WHERE id = ANY(:runs::uuid[]);

-- query targets: The tasks with these names, and the number of live runs of each, counted up to a limit.
SELECT t.project, t.name, t.uid, t.owner, t.version,
  v.overlap IN ('BUFFER_ONE', 'BUFFER_ALL') AND NOT v.ignore_waiting AS buffers,
  coalesce(v.run_policy ->> 'rights' = 'LIMITED_BY_STARTER', false) AS limited,
  (SELECT count(*) FROM (SELECT FROM due_work AS d WHERE d.task = t.uid LIMIT :count_to) AS live) AS live_runs,
  EXISTS (SELECT FROM over_quota AS q WHERE q.project = t.project AND q.owner IN ('', t.owner)) AS over_quota
FROM (SELECT DISTINCT project, name FROM unnest(:projects::text[], :names::text[]) AS n (project, name)) AS named
JOIN task AS t ON t.project = named.project AND t.name = named.name AND t.delete_time IS NULL
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version;

-- query buffering_tasks: For each run the tasks of which no other run can start before it ends: its own task, and
-- those of the runs that wait for it.
WITH RECURSIVE ancestor (origin, run) AS (
  SELECT p.run, p.run FROM unnest(:runs::uuid[]) AS p (run)
  UNION ALL
  SELECT ancestor.origin, c.parent FROM ancestor JOIN run_child AS c ON c.run = ancestor.run WHERE c.awaited
)
SELECT ancestor.origin, d.task FROM ancestor JOIN due_work AS d ON d.id = ancestor.run WHERE d.exclusive;

-- query rules: The rules of some live runs; of their policies the part that a document without a task inherits.
SELECT d.id, d.priority, d.max_losses, d.run_timeout,
  (CASE WHEN v.run_policy ? 'retry' THEN jsonb_build_object('retry', v.run_policy -> 'retry') ELSE '{}' END)::text
    AS run_policy
FROM due_work AS d JOIN task_version AS v ON v.task = d.task AND v.version = d.task_version
WHERE d.id = ANY(:runs::uuid[]);

-- query counts: The number of children of some runs.
SELECT parent, count(*) AS children FROM run_child WHERE parent = ANY(:parents::uuid[]) GROUP BY parent;

-- query delete_refusals: Deletes the ledger rows of children that a live run prevented, which are requested again.
DELETE FROM occurrence
WHERE task = ANY(:tasks::uuid[]) AND key = ANY(:keys::text[]) AND run IS NULL;

-- query enqueue: Children of locked runs; those that an overlap policy forbids get only a ledger row.
WITH wanted AS (
  SELECT w.*, new_id() AS run
  FROM unnest(
    :parents::uuid[], :paths::text[], :keys::uuid[], :tasks::uuid[], :versions::bigint[], :params::jsonb[],
    :start_times::timestamptz[], :delays_ms::bigint[], :awaited::boolean[]) WITH ORDINALITY
    AS w (parent, path, key, task, version, params, start_time, delay_ms, awaited, place)
), fresh AS (
  SELECT
    w.run, t.project, t.uid AS task, t.name AS task_name, v.version AS task_version, t.owner, t.labels, 'CHILD' AS kind,
    '' AS trigger, 'child:' || w.key AS key, 'child:' || w.key AS root, v.params || w.params AS params,
    NULL::jsonb AS event, NULL::timestamptz AS scheduled_time, NULL::timestamptz AS interval_end, w.start_time,
    greatest(w.start_time, clock.now) + v.start_deadline AS latest_start, v.priority,
    coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer, v.max_losses, v.run_timeout,
    (p.depth + 1)::smallint AS depth, NULL::timestamptz AS instant, w.place, clock.now
  FROM (SELECT clock_now() AS now) AS clock
  CROSS JOIN LATERAL (
    SELECT u.run, u.parent, u.key, u.task, u.version, u.params, u.place,
      coalesce(u.start_time, clock.now + u.delay_ms * interval '1 millisecond') AS start_time
    FROM wanted AS u) AS w
  JOIN due_work AS p ON p.id = w.parent
  JOIN task AS t ON t.uid = w.task
  JOIN task_version AS v ON v.task = t.uid AND v.version = w.version
  WHERE NOT EXISTS (SELECT FROM occurrence AS o WHERE o.task = t.uid AND o.key = 'child:' || w.key)
),
-- include due_work_enqueue.enqueue
, remembered AS (
  INSERT INTO run_child (run, parent, path, key, awaited)
  SELECT w.run, w.parent, w.path, w.key, w.awaited FROM wanted AS w WHERE w.run IN (SELECT id FROM queued)
)
SELECT wanted.key, queued.id AS run,
-- include due_work_enqueue.live_run
FROM wanted
JOIN fresh ON fresh.run = wanted.run
LEFT JOIN queued ON queued.id = wanted.run;

-- query adopt: Moves a child to another run, which has reached the step that started it.
UPDATE run_child SET parent = :parent, path = :path, awaited = true WHERE run = :run;

-- query new_id: An id for a new run.
SELECT new_id();

-- query params_schemas: The params_schema of those runs whose version has one.
SELECT d.id, v.params_schema::text AS params_schema
FROM due_work AS d JOIN task_version AS v ON v.task = d.task AND v.version = d.task_version
WHERE d.id = ANY(:runs::uuid[]) AND v.params_schema IS NOT NULL;

-- query waiting: The runs that wait for any of these.
SELECT DISTINCT parent FROM run_child WHERE run = ANY(:runs::uuid[]) AND awaited;

-- query settle: Ends the waits of locked runs for children that have ended.
WITH over AS (
  UPDATE run_child AS c SET awaited = false
  FROM run AS r
  WHERE r.id = c.run AND c.run = ANY(:runs::uuid[]) AND c.awaited
    AND c.parent = ANY(:parents::uuid[]) -- another run may have adopted it before this row was locked
  RETURNING c.run, c.parent, c.path, r.state, r.output, r.error
)
UPDATE wait AS w SET
  result = CASE WHEN over.state = 'SUCCEEDED' THEN over.output END,
  error = CASE WHEN over.state <> 'SUCCEEDED' THEN jsonb_build_object(
    'code', CASE over.state WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'TOOL_ERROR' END,
    'message', concat_ws(': ', concat('runs/', over.run, ' ', lower(over.state)), left(over.error ->> 'message', 1000)),
    'step', w.path, 'tool', w.tool, 'attempt', 1,
    'details', jsonb_build_object('run', concat('runs/', over.run))
      || CASE WHEN over.error IS NULL THEN '{}' ELSE jsonb_build_object('error', over.error) END) END,
  resolve_time = clock_now()
FROM over
WHERE w.run = over.parent AND w.path = over.path AND w.resolve_time IS NULL
RETURNING w.run;

-- query ended: Ended children that are still awaited.
SELECT c.run FROM run_child AS c JOIN run AS r ON r.id = c.run WHERE c.awaited LIMIT :batch;

-- fragment abandoned: Its step no longer waits: the parent has ended or has dropped the wait.
c.awaited AND NOT EXISTS (SELECT FROM wait AS w WHERE w.run = c.parent AND w.path = c.path)

-- query abandonable: Children that are no longer awaited; locks the rows.
SELECT c.run FROM run_child AS c
WHERE
-- include abandoned
ORDER BY c.run
LIMIT :batch
FOR UPDATE SKIP LOCKED;

-- query abandon: The same, evaluated again after the lock, because another run may have adopted them.
UPDATE run_child AS c SET awaited = false
WHERE c.run = ANY(:runs::uuid[]) AND
-- include abandoned
RETURNING c.run, c.parent;
