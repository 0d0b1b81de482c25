-- fragment delete_waits: Deletes the waits of the runs that have left due_work as `gone`. A run in its first claim has
-- none.
deleted_waits AS (
  DELETE FROM wait
  WHERE run = ANY(ARRAY(SELECT g.id FROM gone AS g WHERE g.claims > 1 OR g.state <> 'LEASED'))
)

-- query drop_unnamed: Deletes the waits of locked runs which they no longer name.
DELETE FROM wait AS w
WHERE w.run = ANY(:runs::uuid[])
  AND NOT EXISTS (
    SELECT FROM unnest(:named_runs::uuid[], :paths::text[]) AS a (run, path) WHERE a.run = w.run AND a.path = w.path);

-- query put: Inserts waits of locked runs; those stored already stay as they are.
INSERT INTO wait (
  run, path, project, kind, tool, input, topic, match, since, log_mark, taken, create_position, deadline, error,
  create_time, resolve_time)
SELECT
  a.run, a.path, d.project, a.kind, a.tool, a.input, a.topic, a.match,
  timestamptz 'epoch' + a.since_us * interval '1 microsecond', CASE WHEN a.kind = 'EVENT' THEN d.log_mark END,
  ARRAY(SELECT jsonb_array_elements_text(a.taken)::bigint), (SELECT value FROM position WHERE name = 'events'),
  coalesce(
    timestamptz 'epoch' + a.deadline_us * interval '1 microsecond',
    clock.now + a.deadline_ms * interval '1 millisecond'),
  a.error, clock.now, CASE WHEN a.error IS NOT NULL THEN clock.now END
FROM unnest(
    :runs::uuid[], :paths::text[], :kinds::text[], :tools::text[], :inputs::jsonb[], :topics::text[], :matches::jsonb[],
    :sinces::bigint[], :taken::jsonb[], :deadlines_us::bigint[], :deadlines_ms::bigint[], :errors::jsonb[])
  AS a (run, path, kind, tool, input, topic, match, since_us, taken, deadline_us, deadline_ms, error)
JOIN due_work AS d ON d.id = a.run
CROSS JOIN (SELECT clock_now() AS now) AS clock
ON CONFLICT (run, path) DO NOTHING;

-- query journaled: The waits of claimed runs as journal entries: the columns of JournaledWait, in its order.
SELECT
  run, path, tool, input::text AS input, result::text AS output, error::text AS error,
  CASE WHEN resolve_time IS NULL THEN 'WAITING' WHEN error IS NULL THEN 'SUCCEEDED' ELSE 'FAILED' END AS state,
  (extract(epoch FROM create_time) * 1000000)::bigint AS start_us,
  (extract(epoch FROM coalesce(resolve_time, create_time)) * 1000000)::bigint AS end_us
FROM wait
WHERE run = ANY(:runs::uuid[]) AND kind <> 'DELAY';

-- fragment event_wait: The columns of OpenWait, in its order.
SELECT
  run, path, project, topic, match::text AS match, since, (log_mark).position AS log_position,
  (log_mark).outbox_id AS log_outbox_id, (log_mark).xid AS log_xid, taken, deadline,
  coalesce(deadline < clock_now(), false) AS is_due, create_position
FROM wait
WHERE kind = 'EVENT' AND resolve_time IS NULL

-- query open: The scanned waits of some projects which an event of one of these topics may end.
-- include event_wait
  AND scanned AND NOT pattern AND project = ANY(:projects::text[]) AND topic = ANY(:topics::text[])
UNION ALL
-- include event_wait
  AND scanned AND pattern AND project = ANY(:projects);

-- query named: Open waits by run and path, also those that are not scanned.
-- include event_wait
  AND (run, path) IN (SELECT n.run, n.path FROM unnest(:runs::uuid[], :paths::text[]) AS n (run, path));

-- query any_open: Whether a run of these projects waits for an event.
SELECT EXISTS (
  SELECT FROM wait WHERE kind = 'EVENT' AND resolve_time IS NULL AND project = ANY(:projects::text[]));

-- query unscanned: Waits for which the event log is not completely scanned, the oldest first.
-- include event_wait
  AND NOT scanned
ORDER BY create_time
LIMIT :batch;

-- query note_scans: Stores that the event log was scanned.
UPDATE wait AS w SET scanned = true
FROM unnest(:runs::uuid[], :paths::text[]) AS s (run, path)
WHERE w.run = s.run AND w.path = s.path;

-- query note_failures: Stores why `match` could not be evaluated on an event; the first reason stays. Rows that are
-- locked are left out: their runs are about to resume.
WITH free AS (
  SELECT w.run, w.path, f.message
  FROM wait AS w JOIN unnest(:runs::uuid[], :paths::text[], :messages::text[]) AS f (run, path, message) USING (run, path)
  WHERE w.resolve_time IS NULL AND w.condition_error IS NULL
  FOR UPDATE OF w SKIP LOCKED
)
UPDATE wait AS w SET condition_error = free.message
FROM free
WHERE w.run = free.run AND w.path = free.path;

-- query resolve: Stores results of waits of locked runs; the first one wins.
UPDATE wait AS w SET result = r.result, resolve_time = clock_now()
FROM unnest(:runs::uuid[], :paths::text[], :results::jsonb[]) AS r (run, path, result)
WHERE w.run = r.run AND w.path = r.path AND w.resolve_time IS NULL
RETURNING w.run;

-- fragment expired: Open waits past their deadline, once every event published in time has been matched against
-- them. Without that condition a wait could fail although its event is in the log and only the matcher is late. The
-- creation time of the oldest unmatched event decides. It is among the first thousand: positions rise with creation
-- times, except for the length of a transaction.
FROM (
  SELECT least(
    (SELECT min(u.create_time) FROM (
      SELECT create_time FROM outbox WHERE position IS NULL ORDER BY id LIMIT 1000) AS u),
    (SELECT min(n.create_time) FROM (
      SELECT create_time FROM outbox
      WHERE position > (SELECT value FROM position WHERE name = 'matcher')
      ORDER BY position
      LIMIT 1000) AS n)) AS time
) AS unmatched
WHERE w.resolve_time IS NULL AND w.deadline <= clock_now()
  AND (w.kind <> 'EVENT' OR w.scanned AND (unmatched.time IS NULL OR w.deadline < unmatched.time) AND NOT EXISTS (
    SELECT FROM match_todo AS m WHERE m.runs <> '{}' AND m.runs @> ARRAY[w.run] AND m.event_time <= w.deadline))

-- query due: Runs with an expired wait.
SELECT DISTINCT run FROM (
  SELECT w.run FROM wait AS w CROSS JOIN LATERAL (
    SELECT
-- include expired
  ) AS past_deadline
  ORDER BY w.deadline
  LIMIT :batch
) AS expired;

-- fragment expire_time: When the wait expired, RFC 3339.
to_char(w.deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

-- query expire: Ends the expired waits of locked runs: a timer with its time, an unanswered approval with the status
-- `expired`, a wait for an event with an error. Returns the columns of ExpiredWait, in its order.
UPDATE wait AS w SET
  result = CASE w.kind WHEN 'TIMER' THEN jsonb_build_object('until',
-- include expire_time
  ) WHEN 'APPROVAL' THEN jsonb_build_object(
    'status', 'expired', 'approval', (
      SELECT concat('approvals/', a.id) FROM approval AS a
      WHERE a.run = w.run AND a.step = w.path AND a.state = 'PENDING'),
    'time',
-- include expire_time
  ) END,
  error = CASE WHEN w.kind = 'EVENT' THEN jsonb_build_object(
    'code', 'TIMEOUT', 'message', format('no matching event was published on %s before the deadline', w.topic)
      || coalesce('; `match` could not be evaluated on an event: ' || w.condition_error, ''),
    'step', w.path, 'tool', w.tool, 'attempt', 1) END,
  resolve_time = clock_now()
-- include expired
  AND w.run = ANY(:runs::uuid[])
RETURNING w.run, w.path, w.kind;
