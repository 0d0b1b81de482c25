-- fragment enqueue: Queues the runs in `fresh` with their ledger rows and `queued` events; `queued` has the live ones.
-- `fresh` has the columns that `queue` needs, and instant.
-- include queue
, ledger AS (
  INSERT INTO occurrence (project, task, key, trigger, instant, outcome, reason, run, create_time)
  SELECT
    project, task, key, trigger, instant, outcome,
    CASE
      WHEN outcome = 'BACKPRESSURE' THEN 'the quota of live runs was used up'
      WHEN outcome <> 'SKIPPED_OVERLAP' THEN ''
      WHEN overlap = 'SKIP' THEN 'a run of the task was live'
      ELSE 'a run of the task was live, and its buffer was full' END,
    CASE WHEN outcome IN ('ENQUEUED', 'BUFFERED') THEN run END, now
  -- IN as an expression uses a hashed subplan. A join would be planned as a nested loop, because the planner cannot
  -- estimate the number of rows in a batch.
  FROM (
    SELECT fresh.*, CASE
      WHEN run IN (SELECT id FROM enqueued) THEN 'ENQUEUED'
      WHEN run IN (SELECT id FROM blocked) THEN 'BUFFERED'
      WHEN run NOT IN (SELECT run FROM placed) THEN 'BACKPRESSURE'
      ELSE 'SKIPPED_OVERLAP' END AS outcome
    FROM fresh
    OFFSET 0) AS decided
  RETURNING reason
)

-- fragment queue: Queues the runs in `fresh` with their `queued` events, without ledger rows. `queued` has the live
-- ones: `enqueued` may start, `blocked` are buffered until the task has no exclusive run.
-- `fresh` has: run, project, task, task_name, task_version, owner, labels, kind, trigger, key, root, params, event,
-- scheduled_time, interval_end, start_time, latest_start, priority, overlap, max_buffer, max_losses, run_timeout,
-- depth, place (order within a task), now.
placed AS (
  SELECT
    f.*, f.overlap <> 'ALLOW' AND coalesce(f.start_time <= f.now, true) AS exclusive,
    -- Buffered runs of the task. The exact number matters only for runs that may be buffered too.
    CASE
      WHEN f.overlap = 'ALLOW' OR f.start_time > f.now THEN 0
      WHEN f.overlap = 'SKIP' THEN
        (SELECT count(*) FROM (SELECT FROM due_work AS b WHERE b.task = f.task AND b.state = 'BLOCKED' LIMIT 1) AS b)
      ELSE blocked_runs(f.task)
    END AS ahead
  FROM fresh AS f
  -- What callers and steps start is refused before; a backfill waits.
  WHERE f.kind NOT IN ('SCHEDULED', 'EVENT')
    OR (f.project, f.owner) NOT IN (SELECT q.project, q.owner FROM over_quota AS q)
      AND (f.project, '') NOT IN (SELECT q.project, q.owner FROM over_quota AS q)
), enqueued AS (
  INSERT INTO due_work (
-- include queued_columns
    state, due_time, ready_time, exclusive)
  SELECT
-- include queued_values
    CASE WHEN start_time > now THEN 'DELAYED' ELSE 'READY' END, greatest(start_time, now), greatest(start_time, now),
    exclusive
  FROM placed
  WHERE ahead = 0
  ORDER BY task, place
  ON CONFLICT (task) WHERE exclusive DO NOTHING
  RETURNING id, project, task, task_name, kind, depth, create_time
), blocked AS (
  INSERT INTO due_work (
-- include queued_columns
    state, due_time, ready_time, exclusive, supersedes)
  SELECT
-- include queued_values
    'BLOCKED', now,
    -- After the runs already buffered, even if the clock was set back.
    buffer_place * interval '1 microsecond' + greatest(now, (
      SELECT max(b.ready_time) FROM due_work AS b WHERE b.task = waiting.task AND b.state = 'BLOCKED')),
    false, overlap = 'CANCEL_OTHER'
  FROM (
    SELECT *, row_number() OVER (PARTITION BY task ORDER BY place) AS buffer_place
    FROM placed
    WHERE exclusive AND overlap <> 'SKIP' AND run NOT IN (SELECT id FROM enqueued)
  ) AS waiting
  WHERE ahead + buffer_place <= CASE overlap WHEN 'BUFFER_ONE' THEN 1 WHEN 'BUFFER_ALL' THEN max_buffer
    ELSE ahead + buffer_place END
  RETURNING id, project, task, task_name, kind, depth, create_time
), queued AS (
  SELECT * FROM enqueued UNION ALL SELECT * FROM blocked
), announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT project, concat('[', string_agg(events, ','), ']')::json, sum(count)::int, max(now)
  FROM (
    SELECT
      project, count(*) AS count, max(create_time) AS now,
      concat(
        '{"topic":"ordinaut.run.queued","subject":"', CASE WHEN task_name <> '' THEN 'tasks/' END, task_name,
        '","depth":', depth, ',"data":{"kind":"', kind, '","task_uid":"', task,
        '"},"part":"queued","runs":["', string_agg(id::text, '","'), '"]}') AS events
    FROM queued
    GROUP BY project, task, task_name, kind, depth
  ) AS of_task
  GROUP BY project
)

-- fragment queued_columns: The columns of a new row that describe its run.
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, latest_start, priority, max_losses, run_timeout, depth, create_time, log_mark,

-- fragment queued_values: The values of these columns from `placed`.
    run, project, task, task_name, task_version, owner, labels, kind, trigger, key, root, params, event,
    scheduled_time, interval_end, latest_start, priority, max_losses, run_timeout, depth, now,
    (SELECT current_log_mark()), -- a subselect, evaluated once for all rows

-- fragment live_run: The run that prevents another of its task: the exclusive one, else the first buffered one.
coalesce(
  (SELECT d.id FROM due_work AS d WHERE d.task = fresh.task AND d.exclusive),
  (SELECT d.id FROM due_work AS d WHERE d.task = fresh.task AND d.state = 'BLOCKED' ORDER BY d.ready_time LIMIT 1))
  AS live_run

-- query enqueue_manual: Queues a manual run of a task, and adds its audit record: another statement would take longer
-- than everything else in this one.
WITH fresh AS (
  SELECT
    :run::uuid AS run, t.project, t.uid AS task, t.name AS task_name, t.version AS task_version, t.owner, t.labels,
    'MANUAL' AS kind, '' AS trigger, 'run:' || :run::uuid AS key, t.uid || '/run:' || :run::uuid AS root,
    :params::jsonb AS params,
    NULL::jsonb AS event, NULL::timestamptz AS scheduled_time, NULL::timestamptz AS interval_end,
    :start_time::timestamptz AS start_time, greatest(:start_time, clock.now) + v.start_deadline AS latest_start,
    coalesce(:priority::smallint, v.priority) AS priority, coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer,
    v.max_losses, v.run_timeout, 0::smallint AS depth, NULL::timestamptz AS instant, 1 AS place, clock.now,
    v.run_policy ->> 'rights' AS rights
  FROM task AS t JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE t.uid = :task
),
-- include enqueue
, limited AS (
  INSERT INTO run_limit (run, scopes)
  SELECT run, :starter_scopes::text[] FROM fresh
  WHERE rights = 'LIMITED_BY_STARTER' AND EXISTS (SELECT FROM queued)
), recorded AS (
  INSERT INTO audit (project, time, body_hash, body)
  SELECT project, now, sha256(convert_to(:record::text, 'UTF8')), :record FROM fresh WHERE :record::text IS NOT NULL
  RETURNING id, project
), to_be_sealed AS (
  INSERT INTO audit_todo (id, project) SELECT id, project FROM recorded
)
SELECT
  queued.id AS run, ledger.reason,
-- include live_run
FROM fresh
CROSS JOIN ledger
LEFT JOIN queued ON true;

-- query enqueue_for_events: Queues event-triggered runs, one for each (task, event).
WITH matched AS (
  SELECT DISTINCT ON (task, uid) *
  FROM unnest(
    :tasks::uuid[], :triggers::text[], :uids::text[], :events::jsonb[], :params::jsonb[], :depths::smallint[])
    WITH ORDINALITY AS m (task, trigger, uid, event, params, depth, place)
  ORDER BY task, uid, place
), fresh AS (
  SELECT
    new_id() AS run, t.project, t.uid AS task, t.name AS task_name, t.version AS task_version, t.owner, t.labels,
    'EVENT' AS kind, m.trigger, 'event:' || m.uid AS key,
    t.uid || '/event:' || m.uid AS root, v.params || coalesce(m.params, '{}') AS params, m.event,
    NULL::timestamptz AS scheduled_time, NULL::timestamptz AS interval_end, NULL::timestamptz AS start_time,
    clock.now + v.start_deadline AS latest_start, v.priority, coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer,
    v.max_losses, v.run_timeout, m.depth, NULL::timestamptz AS instant, m.place, clock.now
  FROM matched AS m
  JOIN task AS t ON t.uid = m.task AND t.state = 'ACTIVE' AND t.delete_time IS NULL
  JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE NOT EXISTS (
    SELECT FROM occurrence AS o WHERE o.task = t.uid AND o.key = 'event:' || m.uid)
),
-- include enqueue
SELECT (SELECT count(*) FROM queued) AS queued, (SELECT count(*) FROM blocked) AS buffered;
