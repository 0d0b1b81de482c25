-- query now: What the database's clock says.
SELECT clock_now();

-- fragment enqueue: Runs, their ledger rows and their `queued` events from `fresh`; `queued` are those that are live.
-- `fresh` has what `queue` needs, and instant.
-- include queue
, ledger AS (
  INSERT INTO occurrence (project, task, key, trigger, instant, outcome, reason, run, create_time)
  SELECT
    project, task, key, trigger, instant, outcome,
    CASE
      WHEN outcome <> 'SKIPPED_OVERLAP' THEN ''
      WHEN overlap = 'SKIP' THEN 'a run of the task was live'
      ELSE 'a run of the task was live, and no more could wait for their turn' END,
    CASE WHEN outcome <> 'SKIPPED_OVERLAP' THEN run END, now
  -- IN as an expression is answered from a hash table. What is joined here is compared each with each, because nobody
  -- can foresee how many rows a batch has.
  FROM (
    SELECT fresh.*, CASE
      WHEN run IN (SELECT id FROM enqueued) THEN 'ENQUEUED'
      WHEN run IN (SELECT id FROM blocked) THEN 'BUFFERED'
      ELSE 'SKIPPED_OVERLAP' END AS outcome
    FROM fresh
    OFFSET 0) AS decided
  RETURNING reason
)

-- fragment queue: Runs and their `queued` events from `fresh`, without the ledger. `queued` are those that are live;
-- of these `enqueued` may run, and `blocked` wait for their turn.
-- `fresh` has: run, project, task, task_name, task_version, owner, labels, kind, trigger, key, root, params, event,
-- scheduled_time, interval_end, start_time, latest_start, priority, overlap, max_buffer, max_losses, run_timeout,
-- depth, place (in its task, among several), now.
placed AS (
  SELECT
    f.*, f.overlap <> 'ALLOW' AND coalesce(f.start_time <= f.now, true) AS exclusive,
    -- Those of the task that wait already. Only who may wait as well needs to know their number exactly.
    CASE
      WHEN f.overlap = 'ALLOW' OR f.start_time > f.now THEN 0
      WHEN f.overlap = 'SKIP' THEN
        (SELECT count(*) FROM (SELECT FROM due_work AS b WHERE b.task = f.task AND b.state = 'BLOCKED' LIMIT 1) AS b)
      ELSE blocked_runs(f.task)
    END AS ahead
  FROM fresh AS f
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
    -- Behind whoever waits already, whatever the clock says.
    turn * interval '1 microsecond' + greatest(now, (
      SELECT max(b.ready_time) FROM due_work AS b WHERE b.task = waiting.task AND b.state = 'BLOCKED')),
    false, overlap = 'CANCEL_OTHER'
  FROM (
    SELECT *, row_number() OVER (PARTITION BY task ORDER BY place) AS turn
    FROM placed
    WHERE exclusive AND overlap <> 'SKIP' AND run NOT IN (SELECT id FROM enqueued)
  ) AS waiting
  WHERE ahead + turn <= CASE overlap WHEN 'BUFFER_ONE' THEN 1 WHEN 'BUFFER_ALL' THEN max_buffer ELSE ahead + turn END
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

-- fragment queued_columns: What a new row says of its run.
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, latest_start, priority, max_losses, run_timeout, depth, create_time,

-- fragment queued_values: The same as `placed` has it.
    run, project, task, task_name, task_version, owner, labels, kind, trigger, key, root, params, event,
    scheduled_time, interval_end, latest_start, priority, max_losses, run_timeout, depth, now,

-- fragment in_the_way: The run of a task that keeps another from being live: the one whose turn it is, or is next.
coalesce(
  (SELECT d.id FROM due_work AS d WHERE d.task = fresh.task AND d.exclusive),
  (SELECT d.id FROM due_work AS d WHERE d.task = fresh.task AND d.state = 'BLOCKED' ORDER BY d.ready_time LIMIT 1))
  AS live_run

-- fragment end: History and events of runs that have left due_work as `gone`; its rows carry the deleted row's columns
-- and end_state, output, error, reason, now.
history AS (
  INSERT INTO run (
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, state, output, error, claims, losses, depth, cancel_reason, create_time, start_time,
    end_time)
  SELECT
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, end_state, output, error, claims, losses, depth, reason, create_time, start_time, now
  FROM gone
  ON CONFLICT (id) DO NOTHING -- what has ended stays as it ended, and its row leaves the queue all the same
),
-- include wait.forget
, announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT project, concat('[', string_agg(events, ','), ']')::json, sum(count)::int, max(now)
  FROM (
    SELECT
      project, count(*) AS count, max(now) AS now,
      concat(
        '{"topic":"ordinaut.run.', lower(end_state), '","subject":"', CASE WHEN task_name <> '' THEN 'tasks/' END,
        task_name, '","depth":', depth, ',"data":{"kind":"', kind, '","task_uid":"', task,
        '"},"part":"ended","runs":["', string_agg(id::text, '","'), '"]}') AS events
    FROM gone
    GROUP BY project, task, task_name, kind, depth, end_state
  ) AS of_task
  GROUP BY project
)

-- query enqueue_manual: A run that somebody asks for, beside the schedule.
WITH fresh AS (
  SELECT
    :run::uuid AS run, t.project, t.uid AS task, t.name AS task_name, t.version AS task_version, t.owner, t.labels,
    'MANUAL' AS kind, '' AS trigger, 'run:' || :run::uuid AS key, t.uid || '/run:' || :run::uuid AS root,
    :params::jsonb AS params,
    NULL::jsonb AS event, NULL::timestamptz AS scheduled_time, NULL::timestamptz AS interval_end,
    :start_time::timestamptz AS start_time, greatest(:start_time, clock.now) + v.start_deadline AS latest_start,
    coalesce(:priority::smallint, v.priority) AS priority, coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer,
    v.max_losses, v.run_timeout, 0::smallint AS depth, NULL::timestamptz AS instant, 1 AS place, clock.now
  FROM task AS t JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE t.uid = :task
),
-- include enqueue
SELECT
  queued.id AS run, ledger.reason,
-- include in_the_way
FROM fresh
CROSS JOIN ledger
LEFT JOIN queued ON true;

-- query enqueue_for_events: Runs that events trigger, once for each (task, event).
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

-- fragment licence: The moment of a claim; empty, and with it the claim, unless the lease is live.
clock AS MATERIALIZED (
  SELECT now FROM (SELECT clock_now() AS now) AS c
  WHERE EXISTS (SELECT FROM lease AS l WHERE l.id = :lease AND l.expire_time > c.now AND NOT l.draining)
)

-- fragment leased: Leases the `picked` rows and hands them to the worker.
UPDATE due_work AS d
SET
  state = 'LEASED', lease_owner = :lease, fence = d.fence + 1, claims = d.claims + 1,
  segment_time = coalesce(d.segment_time, clock.now), start_time = coalesce(d.start_time, clock.now)
FROM clock
-- By place, because a plan made for an empty queue is then as good in a full one; the picked rows are locked.
WHERE d.ctid = ANY (ARRAY(SELECT picked.place FROM picked))
RETURNING
  d.id, d.fence, d.claims, d.project, d.task, d.task_name, d.task_version, d.owner, d.kind, d.trigger, d.occurrence,
  d.root, d.params::text AS params, d.event::text AS event, d.scheduled_time, d.interval_end, d.priority, d.ready_time,
  d.isolation_size, d.depth, d.create_time, d.segment_time, d.cancel_requested,
  extract(epoch FROM d.start_time + d.run_timeout + d.waited - clock.now)::float8 AS remaining_seconds,
  (extract(epoch FROM d.waited) * 1000)::bigint AS waited_ms,
  extract(epoch FROM clock.now - d.due_time)::float8 AS late_seconds,
  (SELECT p.revision FROM project AS p WHERE p.name = d.project) AS project_revision

-- query claim: A batch of READY rows under a live lease: class by class, oldest first, each from its low-water hint on.
WITH
-- include licence
, picked AS MATERIALIZED (
  SELECT ready.place
  FROM clock, unnest(:classes::smallint[], :hints::timestamptz[]) AS class (priority, hint)
  CROSS JOIN LATERAL (
    SELECT w.ctid AS place
    FROM due_work AS w
    WHERE w.state = 'READY' AND w.isolation_size IS NULL AND w.priority = class.priority AND w.ready_time >= class.hint
      AND (w.latest_start IS NULL OR w.latest_start > clock.now OR w.start_time IS NOT NULL)
    ORDER BY w.ready_time, w.id
    LIMIT :batch
    FOR UPDATE SKIP LOCKED
  ) AS ready
  LIMIT :batch
)
-- include leased

-- query claim_quarantined: The smallest group of runs that must share their stream with nothing else.
WITH
-- include licence
, oldest AS (
  SELECT w.isolation_size FROM clock, due_work AS w
  WHERE w.state = 'READY' AND w.isolation_size IS NOT NULL AND w.losses < w.max_losses AND NOT w.cancel_requested
  ORDER BY w.ready_time, w.id
  LIMIT 1
), picked AS MATERIALIZED (
  SELECT w.ctid AS place
  FROM due_work AS w
  WHERE w.state = 'READY' AND w.isolation_size = (SELECT isolation_size FROM oldest) AND w.losses < w.max_losses
    AND NOT w.cancel_requested
  ORDER BY w.ready_time, w.id
  LIMIT (SELECT isolation_size FROM oldest)
  FOR UPDATE SKIP LOCKED
)
-- include leased

-- query has_quarantined: Whether any run is to be claimed on a stream of its own.
SELECT EXISTS (
  SELECT FROM due_work
  WHERE state = 'READY' AND isolation_size IS NOT NULL AND losses < max_losses AND NOT cancel_requested);

-- query journal_of: What claimed runs have recorded already; the input of calls alone that were begun.
SELECT run, path, attempt, seq, state, tool, CASE WHEN state = 'RUNNING' THEN input::text END AS input,
  output::text AS output, error::text AS error,
  (extract(epoch FROM start_time) * 1000000)::bigint AS start_us,
  (extract(epoch FROM end_time) * 1000000)::bigint AS end_us
FROM step_run
WHERE run = ANY(:runs::uuid[])
ORDER BY run, seq;

-- query held: The rows under a lease, to release those that their worker does not hold.
SELECT id, fence, cancel_requested FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease;

-- query cancels: Which of a lease's runs are to be stopped.
SELECT id FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease AND cancel_requested;

-- fragment mine: The rows that a worker's write may touch: its own, by fence, under a live lease.
d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
AND EXISTS (SELECT FROM lease AS l WHERE l.id = :lease AND l.expire_time > clock.now)

-- query lock_mine: Locks the rows that the worker still owns, in id order, before it writes what belongs to them.
SELECT d.id
FROM unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
CROSS JOIN (SELECT clock_now() AS now) AS clock
JOIN due_work AS d ON
-- include mine
ORDER BY d.id
FOR UPDATE OF d;

-- fragment ended: An entry takes the place of its call's start; a repeated entry is the same entry.
ON CONFLICT (run, path, attempt) DO UPDATE
SET state = excluded.state, output = excluded.output, error = excluded.error, end_time = excluded.end_time
WHERE step_run.state = 'RUNNING'

-- query record_steps: Journal entries of locked rows.
INSERT INTO step_run (
  run, path, attempt, seq, state, tool, input, output, error, segment_time, start_time, end_time)
SELECT s.run, s.path, s.attempt, s.seq, s.state, s.tool, s.input, s.output, s.error, d.segment_time,
  to_timestamp(s.start_us / 1e6), to_timestamp(s.end_us / 1e6)
FROM unnest(
  :runs::uuid[], :paths::text[], :attempts::int[], :seqs::int[], :states::text[], :tools::text[], :inputs::jsonb[],
  :outputs::jsonb[], :errors::jsonb[], :starts::bigint[], :ends::bigint[])
  AS s (run, path, attempt, seq, state, tool, input, output, error, start_us, end_us)
JOIN due_work AS d ON d.id = s.run
-- include ended
;

-- query complete: Ends runs that the worker still owns, with their last steps, in one statement.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now),
gone AS (
  DELETE FROM due_work AS d
  USING clock, unnest(:ids::uuid[], :fences::bigint[], :states::text[], :outputs::jsonb[], :errors::jsonb[])
    AS w (id, fence, end_state, output, error)
  WHERE
-- include mine
  RETURNING d.*, w.end_state, w.output, w.error, d.cancel_reason AS reason, clock.now
), steps AS (
  INSERT INTO step_run (
    run, path, attempt, seq, state, tool, input, output, error, segment_time, start_time, end_time)
  SELECT s.run, s.path, s.attempt, s.seq, s.state, s.tool, s.input, s.output, s.error, g.segment_time,
    to_timestamp(s.start_us / 1e6), to_timestamp(s.end_us / 1e6)
  FROM unnest(
    :runs::uuid[], :paths::text[], :attempts::int[], :seqs::int[], :step_states::text[], :tools::text[],
    :inputs::jsonb[], :step_outputs::jsonb[], :step_errors::jsonb[], :starts::bigint[], :ends::bigint[])
    AS s (run, path, attempt, seq, state, tool, input, output, error, start_us, end_us)
  JOIN gone AS g ON g.id = s.run
-- include ended
),
-- include end
SELECT id FROM gone;

-- fragment unclaimable_if_cancelled: A row given back that was to be cancelled is quarantined until it is ended.
  isolation_size = CASE WHEN d.cancel_requested THEN coalesce(d.isolation_size, 64) ELSE d.isolation_size END

-- query delay: Gives a run back until its next try; its slot is free meanwhile.
UPDATE due_work AS d
SET
  state = CASE WHEN d.cancel_requested THEN 'READY' ELSE 'DELAYED' END, lease_owner = NULL,
  due_time = clock.now + w.delay_ms * interval '1 millisecond',
  ready_time = clock.now + w.delay_ms * interval '1 millisecond',
-- include unclaimable_if_cancelled
FROM
  (SELECT clock_now() AS now) AS clock,
  unnest(:ids::uuid[], :fences::bigint[], :delays::bigint[]) AS w (id, fence, delay_ms)
WHERE
-- include mine
RETURNING d.id;

-- query suspend: Gives runs back until a wait of theirs has a result, or at once where one has it already.
WITH suspended AS (
  UPDATE due_work AS d
  SET
    state = CASE WHEN d.cancel_requested OR EXISTS (
      SELECT FROM wait WHERE wait.run = d.id AND wait.resolve_time IS NOT NULL) THEN 'READY' ELSE 'WAITING' END,
    lease_owner = NULL, segment_time = NULL, due_time = clock.now, ready_time = clock.now,
    exclusive = CASE WHEN d.exclusive THEN NOT (
      SELECT v.ignore_waiting FROM task_version AS v WHERE v.task = d.task AND v.version = d.task_version)
      ELSE false END,
-- include unclaimable_if_cancelled
  FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
  WHERE
-- include mine
  RETURNING d.id, d.fence, d.project, d.task, d.task_name, d.kind, d.depth, d.state, clock.now
), announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT
    project,
    json_agg(json_build_object(
      'uid', concat(id, '-waiting-', fence), 'topic', 'ordinaut.run.waiting', 'source', concat('runs/', id),
      'subject', concat(CASE WHEN task_name <> '' THEN 'tasks/' END, task_name), 'id', '', 'publisher', '',
      'depth', depth, 'data', json_build_object('kind', kind, 'task_uid', task))),
    count(*), max(now)
  FROM suspended
  WHERE state = 'WAITING'
  GROUP BY project
)
SELECT id, state FROM suspended;

-- query lock: Locks rows in id order, before what belongs to them is changed.
SELECT id FROM due_work WHERE id = ANY(:ids::uuid[]) ORDER BY id FOR UPDATE;

-- query wake: Makes locked rows claimable that waited.
UPDATE due_work AS d
SET state = 'READY', ready_time = clock.now, waited = d.waited + (clock.now - d.due_time)
FROM (SELECT clock_now() AS now) AS clock
WHERE d.id = ANY(:ids::uuid[]) AND d.state = 'WAITING';

-- query release: Gives rows back uncounted: a draining worker, a claim that came too late, an unknown commit.
UPDATE due_work AS d
SET
  state = 'READY', lease_owner = NULL, ready_time = clock.now,
-- include unclaimable_if_cancelled
FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
WHERE d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
RETURNING d.id;

-- fragment loss: The columns of a row whose engine or worker was lost; each loss narrows whom it may run beside.
  state = 'READY', lease_owner = NULL, ready_time = clock.now,
  losses = d.losses + (d.isolation_size IS NOT DISTINCT FROM 1)::int,
  isolation_size = CASE
    WHEN d.isolation_size IS NULL THEN 64
    WHEN d.isolation_size > 16 THEN 16
    WHEN d.isolation_size > 4 THEN 4
    ELSE 1 END

-- query lose: Gives back the rows of an engine that went away.
UPDATE due_work AS d
SET
-- include loss
FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
WHERE d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
RETURNING d.id;

-- query rescue: Takes back rows whose lease is over: their worker is lost.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), orphan AS MATERIALIZED (
  SELECT w.id
  FROM clock, due_work AS w
  WHERE w.state = 'LEASED'
    AND NOT EXISTS (SELECT FROM lease AS l WHERE l.id = w.lease_owner AND l.expire_time > clock.now)
  ORDER BY w.id
  LIMIT :batch
  FOR UPDATE OF w SKIP LOCKED
)
UPDATE due_work AS d
SET
-- include loss
FROM orphan, clock
WHERE d.id = orphan.id
RETURNING d.id;

-- fragment cut_off: The waits of runs that are cancelled become CANCELLED steps. A step that has an entry keeps it.
cut_off AS (
  INSERT INTO step_run (run, path, attempt, seq, state, tool, input, segment_time, start_time, end_time)
  SELECT
    w.run, w.path, 1,
    row_number() OVER (PARTITION BY w.run ORDER BY w.create_time, w.path)
      + (SELECT coalesce(max(s.seq), -1) FROM step_run AS s WHERE s.run = w.run),
    'CANCELLED', w.tool, w.input, coalesce(g.segment_time, w.create_time), w.create_time, g.now
  FROM gone AS g
  JOIN wait AS w ON w.run = g.id
  WHERE g.end_state = 'CANCELLED' AND w.kind <> 'DELAY'
  ON CONFLICT (run, path, attempt) DO NOTHING
),

-- query end_unclaimed: Ends READY rows that were lost too often, and those that are to be cancelled.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.state = 'READY' AND w.isolation_size IS NOT NULL AND (w.losses >= w.max_losses OR w.cancel_requested)
  ORDER BY w.id
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*,
    CASE WHEN d.cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END AS end_state,
    NULL::jsonb AS output,
    CASE WHEN NOT d.cancel_requested THEN jsonb_build_object(
      'code', 'LOST_TOO_OFTEN', 'retryable', false,
      'message', format('its engine or worker was lost %s times while the run was alone', d.losses)) END AS error,
    d.cancel_reason AS reason, clock.now
),
-- include cut_off
-- include end
SELECT id FROM gone;

-- query end_unstarted: Ends runs that have not started by their deadline; their occurrences were missed.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.latest_start <= clock_now() AND w.start_time IS NULL AND w.state <> 'LEASED'
  ORDER BY w.latest_start
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output,
    jsonb_build_object(
      'code', 'START_DEADLINE', 'retryable', false, 'message', 'it had not started by its deadline') AS error,
    'it had not started by its deadline' AS reason, clock.now
), missed AS (
  UPDATE occurrence AS o
  SET outcome = 'MISSED', reason = 'its run had not started by the deadline'
  FROM gone AS g
  WHERE o.task = g.task AND o.key = g.occurrence AND o.run = g.id
),
-- include end
SELECT id FROM gone;

-- query promote: Makes delayed rows claimable when their time has come.
WITH due AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.state = 'DELAYED' AND w.due_time <= clock_now()
  ORDER BY w.due_time
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
)
UPDATE due_work AS d SET state = 'READY', ready_time = clock_now()
FROM due
WHERE d.id = due.id;

-- query seconds_to_promotion: How long until the next delayed row is due.
SELECT extract(epoch FROM min(due_time) - clock_now())::float8 FROM due_work WHERE state = 'DELAYED';

-- query end_cancelled: Ends rows that no worker holds: some runs, or those of a task, a thousand at a time.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE (w.id = ANY(:runs::uuid[]) OR w.task = :task::uuid) AND w.state <> 'LEASED'
  ORDER BY w.id
  LIMIT 1000
  FOR UPDATE
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output, NULL::jsonb AS error, :reason::text AS reason,
    clock.now
),
-- include cut_off
-- include end
SELECT id FROM gone;

-- query end_cancelled_mine: Ends runs that the worker owns and was asked to stop.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), gone AS (
  DELETE FROM due_work AS d
  USING clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
  WHERE d.cancel_requested AND
-- include mine
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output, NULL::jsonb AS error, d.cancel_reason AS reason,
    clock.now
),
-- include cut_off
-- include end
SELECT id FROM gone;

-- query request_cancel: Asks the worker that holds the rows to stop them.
WITH held AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE (w.id = ANY(:runs::uuid[]) OR w.task = :task::uuid) AND w.state = 'LEASED' AND NOT w.cancel_requested
  ORDER BY w.id
  FOR UPDATE
)
UPDATE due_work AS d SET cancel_requested = true, cancel_reason = :reason
FROM held
WHERE d.id = held.id
RETURNING d.id;

-- query cancel_is_requested: Whether a run is being cancelled; NULL when it has no row any more.
SELECT cancel_requested FROM due_work WHERE id = :run;

-- query depth: Rows by state, and how long the oldest claimable one has waited.
SELECT state, count(*) AS rows, max(clock_now() - ready_time) FILTER (WHERE state = 'READY') AS oldest
FROM due_work
GROUP BY state;

-- query oldest_unstarted: The oldest run of a task that has not started and whose time has come.
SELECT id FROM due_work
WHERE task = :task AND start_time IS NULL AND due_time <= clock_now()
ORDER BY id
LIMIT 1;

-- query place: Where a live run stands, and how many claimable ones are ahead of it, counted to a limit.
SELECT
  d.state, d.due_time, d.ready_time, (SELECT e.id FROM due_work AS e WHERE e.task = d.task AND e.exclusive) AS exclusive,
  (SELECT count(*) FROM (
    SELECT FROM due_work AS w
    WHERE w.state = 'READY' AND w.isolation_size IS NULL
      AND (w.priority, w.ready_time, w.id) < (d.priority, d.ready_time, d.id)
    LIMIT :count_to) AS before) AS ahead
FROM due_work AS d
WHERE d.id = :run;
