-- fragment live: Runs in the queue, with the columns of ended runs.
SELECT
  id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
  scheduled_time, interval_end,
  CASE
    WHEN state = 'WAITING' THEN 'WAITING'
    WHEN state = 'LEASED' OR start_time IS NOT NULL THEN 'RUNNING'
    ELSE 'QUEUED'
  END AS state,
  NULL::jsonb AS output, NULL::jsonb AS error, claims, losses, cancel_reason, create_time, start_time,
  NULL::timestamptz AS end_time
FROM due_work

-- fragment ended: Runs that have ended.
SELECT
  id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
  scheduled_time, interval_end, state, output, error, claims, losses, cancel_reason, create_time, start_time, end_time
FROM run

-- fragment columns: The columns of a run; JSON as text.
SELECT
  r.id, r.project, r.task, r.task_name, r.task_version, r.owner, r.labels::text AS labels, r.kind, r.trigger, r.occurrence, r.root,
  r.params::text AS params, r.event::text AS event, r.scheduled_time, r.interval_end, r.state,
  r.output::text AS output, r.error::text AS error, r.claims, r.losses, r.cancel_reason, r.create_time, r.start_time,
  r.end_time,
  CASE WHEN r.kind = 'RETRY' THEN (SELECT x.retry_of FROM run_retry AS x WHERE x.run = r.id) END AS retry_of,
  CASE WHEN r.state IN ('FAILED', 'CANCELLED')
    THEN ARRAY(
      WITH RECURSIVE chain AS (
        SELECT x.run FROM run_retry AS x WHERE x.retry_of = r.id
        UNION ALL
        SELECT x.run FROM chain AS c JOIN run_retry AS x ON x.retry_of = c.run
      )
      SELECT run FROM chain ORDER BY run) END AS retries,
  CASE WHEN r.kind = 'BACKFILL' THEN backfill_of(r.id) END AS backfill,
  CASE WHEN r.kind IN ('CHILD', 'RETRY') THEN (SELECT c.parent FROM run_child AS c WHERE c.run = r.id) END AS parent,
  CASE WHEN r.state IN ('RUNNING', 'WAITING') THEN (
    SELECT json_agg(json_build_object(
      'step', w.path, 'kind', w.kind, 'topic', w.topic, 'deadline', w.deadline, 'create_time', w.create_time,
      'condition_error', coalesce(w.condition_error, ''),
      'approval', CASE WHEN w.kind = 'APPROVAL' THEN (
        SELECT concat('approvals/', a.id) FROM approval AS a
        WHERE a.run = w.run AND a.step = w.path AND a.state = 'PENDING') END,
      'run', CASE WHEN w.kind = 'CHILD' THEN (
        SELECT c.run FROM run_child AS c WHERE c.parent = w.run AND c.path = w.path AND c.awaited) END)
      ORDER BY w.create_time, w.path)
    FROM wait AS w
    WHERE w.run = r.id AND w.resolve_time IS NULL AND w.kind <> 'DELAY'
  )::text END AS waits,

-- fragment attempts: The recorded attempts of the run `r`, then its waiting steps without an entry in the journal. A call
-- that was STARTED is RUNNING in a live run, and was cut off by the end of an ended one.
SELECT
  s.seq, s.path, s.attempt,
  CASE WHEN s.state <> 'STARTED' THEN s.state WHEN e.id IS NULL THEN 'RUNNING' ELSE 'CANCELLED' END AS state, s.tool,
  s.input, s.output, s.error, s.start_time, coalesce(e.end_time, s.end_time) AS end_time
FROM step_run AS s
LEFT JOIN LATERAL (SELECT x.id, x.end_time FROM run AS x WHERE x.id = s.run AND s.state = 'STARTED') AS e ON true
WHERE s.run = r.id
UNION ALL
SELECT 2147483647, w.path, 1, 'WAITING', w.tool, w.input, NULL, NULL, w.create_time, w.create_time
FROM wait AS w
WHERE w.run = r.id AND w.kind <> 'DELAY' AND NOT EXISTS (
  SELECT FROM step_run AS s WHERE s.run = w.run AND s.path = w.path AND s.attempt = 1)

-- fragment step: One step as JSON, with input and output if requested.
json_build_object(
  'path', s.path, 'attempt', s.attempt, 'state', s.state, 'tool', s.tool,
  'input', CASE WHEN :payloads::boolean THEN s.input END, 'output', CASE WHEN :payloads THEN s.output END,
  'error', s.error, 'start_time', s.start_time, 'end_time', s.end_time)

-- query get: Runs by id, live or ended, with their steps and the inputs and outputs of these if requested. One statement,
-- because a run may move from one table to the other between two.
-- include columns
  CASE WHEN :steps::boolean THEN (
    SELECT json_agg(
-- include step
      ORDER BY s.seq, s.path, s.attempt)
    FROM (
-- include attempts
    ) AS s
  )::text END AS steps
FROM (
  (
-- include live
    WHERE id = ANY(:ids::uuid[])
  )
  UNION ALL
  (
-- include ended
    WHERE id = ANY(:ids::uuid[])
  )
) AS r;

-- query steps: A page of a run's steps after a key; `step` is an element of the array `steps` of `get`.
SELECT s.seq, s.path, s.attempt, (
-- include step
)::text AS step
FROM (SELECT :run::uuid AS id) AS r
CROSS JOIN LATERAL (
-- include attempts
) AS s
WHERE (s.seq, s.path, s.attempt) > (:seq::int, :path::text, :attempt::int)
ORDER BY s.seq, s.path, s.attempt
LIMIT :size;

-- query recorded: Every attempt of a run, in order; times are microseconds since 1970.
SELECT
  path, attempt, state, tool, input::text AS input, output::text AS output, error::text AS error,
  (extract(epoch FROM start_time) * 1000000)::bigint AS start_us,
  (extract(epoch FROM end_time) * 1000000)::bigint AS end_us,
  (extract(epoch FROM segment_time) * 1000000)::bigint AS now_us
FROM step_run
WHERE run = :run AND state <> 'STARTED'
ORDER BY seq, path, attempt;

-- query marks: For each run a text that changes with every change of the run or of its steps.
SELECT
  d.id,
  concat_ws(' ', d.state, d.claims, d.fence, d.cancel_requested, (
    SELECT count(*) + count(*) FILTER (WHERE s.state NOT IN ('RUNNING', 'STARTED')) FROM step_run AS s WHERE s.run = d.id)) AS mark
FROM due_work AS d
WHERE d.id = ANY(:ids::uuid[])
UNION ALL
SELECT id, 'ENDED' FROM run WHERE id = ANY(:ids::uuid[]);

-- query list: A page of runs; a NULL owner, task or states matches all.
-- include columns
  NULL::text AS steps
FROM (
  (
    SELECT * FROM (
-- include live
      WHERE project = :project AND (:owner::text IS NULL OR owner = :owner) AND (:task::uuid IS NULL OR task = :task)
    ) AS l
    WHERE (:states::text[] IS NULL OR state = ANY(:states))
-- filter
-- order
    LIMIT :size
  )
  UNION ALL
  (
-- include ended
    WHERE project = :project AND (:owner IS NULL OR owner = :owner)
      AND (:task IS NULL OR task = :task) AND (:states IS NULL OR state = ANY(:states))
-- filter
-- order
    LIMIT :size
  )
) AS r
-- order
LIMIT :size;

-- query live_at: The oldest run of a task that was live at a time; of ended runs only the last thousand are examined.
SELECT id FROM (
  SELECT id FROM due_work WHERE task = :task AND create_time <= :time
  UNION ALL
  SELECT id FROM (
    SELECT id, end_time FROM run WHERE task = :task AND id < first_id(:time) ORDER BY id DESC LIMIT 1000) AS before
  WHERE end_time >= :time
) AS live
ORDER BY id
LIMIT 1;

-- query durations: The durations of the newest runs of a task that were not cancelled, oldest first.
SELECT took FROM (
  SELECT id, end_time - start_time AS took FROM run
  WHERE task = :task AND start_time IS NOT NULL AND state <> 'CANCELLED'
  ORDER BY id DESC
  LIMIT :count) AS newest
ORDER BY id;
