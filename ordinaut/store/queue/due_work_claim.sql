-- fragment live_lease: The time of a claim. No row, and so nothing to claim, unless the lease is live and not draining.
clock AS MATERIALIZED (
  SELECT now FROM (SELECT clock_now() AS now) AS c
  WHERE EXISTS (SELECT FROM lease AS l WHERE l.id = :lease AND l.expire_time > c.now AND NOT l.draining)
)

-- fragment lease_picked: Leases the `picked` rows. The columns are the fields of ClaimedRun, in order.
UPDATE due_work AS d
SET
  state = 'LEASED', lease_owner = :lease, fence = d.fence + 1, claims = d.claims + 1,
  segment_time = coalesce(d.segment_time, clock.now), start_time = coalesce(d.start_time, clock.now)
FROM clock
-- Join on ctid so that a plan cached while the queue was empty stays good when it is full: a TID scan reads exactly
-- the picked rows. A join on id could be planned as a hash of the whole table, by the row estimate of that time. The
-- ctids are stable, because this statement has locked the rows: no other transaction can update them.
WHERE d.ctid = ANY (ARRAY(SELECT picked.place FROM picked))
RETURNING
  d.id, d.fence, d.claims, d.project, d.task, d.task_name, d.task_version, d.owner, d.kind, d.trigger, d.occurrence,
  d.root, d.params::text AS params, d.event::text AS event, d.scheduled_time, d.interval_end, d.priority, d.ready_time,
  d.depth, d.segment_time,
  extract(epoch FROM d.start_time + d.run_timeout + d.waited - clock.now)::float8 AS remaining_seconds,
  (extract(epoch FROM d.waited) * 1000)::bigint AS waited_ms,
  (extract(epoch FROM clock.now - d.start_time) * 1000)::bigint AS elapsed_ms, d.cancel_requested,
  extract(epoch FROM clock.now - d.due_time)::float8 AS late_seconds,
  (SELECT p.revision FROM project AS p WHERE p.name = d.project) AS project_revision

-- query claim: Leases READY rows under a live lease: class by class, oldest first, each class from its low-water mark.
WITH
-- include live_lease
, picked AS MATERIALIZED (
  -- A CTE, not a subquery: a subquery may be executed again for each row of a nested loop, and with SKIP LOCKED each
  -- execution would lock further rows, more than LIMIT. PostgreSQL never inlines a CTE that locks rows; MATERIALIZED
  -- makes that explicit. SKIP LOCKED lets workers claim at the same time without waiting for each other's rows.
  -- The hints are low-water marks: index entries of rows that were claimed or deleted remain until vacuum removes
  -- them, and a scan from the start of a class would visit all of them in each claim.
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
-- include lease_picked

-- fragment claimable_in_quarantine: Quarantined rows, without those that rescue ends: lost too often, or to be cancelled
-- without steps that run after it.
w.state = 'READY' AND w.isolation_size IS NOT NULL AND w.losses < w.max_losses
AND (NOT w.cancel_requested OR has_finally(w.task, w.task_version))

-- query claim_quarantined: Leases the oldest group of quarantined runs of one isolation size.
WITH
-- include live_lease
, oldest AS (
  SELECT w.isolation_size FROM clock, due_work AS w
  WHERE
-- include claimable_in_quarantine
  ORDER BY w.ready_time, w.id
  LIMIT 1
), picked AS MATERIALIZED (
  SELECT w.ctid AS place
  FROM due_work AS w
  WHERE w.isolation_size = (SELECT isolation_size FROM oldest) AND
-- include claimable_in_quarantine
  ORDER BY w.ready_time, w.id
  LIMIT (SELECT isolation_size FROM oldest)
  FOR UPDATE SKIP LOCKED
)
-- include lease_picked

-- query has_quarantined: Whether a quarantined run can be claimed.
SELECT EXISTS (
  SELECT FROM due_work AS w
  WHERE
-- include claimable_in_quarantine
);

-- query journal_of: The journal of runs; inputs only of calls without a result. The columns are the fields of
-- JournaledStep, in order. The outputs of a thousand iterations of a long loop may be recorded together, as
-- `loop.chunk[n]`: then their entries are left out, except those of failed iterations, and the events that they waited
-- for.
WITH chunk AS MATERIALIZED (
  SELECT run, path, output -> 'failed' AS failed FROM step_run
  WHERE run = ANY(:runs::uuid[]) AND path LIKE '%.chunk[%' AND tool = ''
)
SELECT run, path, attempt, seq, state, tool, CASE WHEN state = 'RUNNING' THEN input::text END AS input,
  output::text AS output, error::text AS error,
  (extract(epoch FROM start_time) * 1000000)::bigint AS start_us,
  (extract(epoch FROM end_time) * 1000000)::bigint AS end_us
FROM step_run AS s
CROSS JOIN LATERAL (SELECT nullif(split_part(split_part(s.path, '[', 2), ']', 1), '')::int AS number) AS iteration
WHERE run = ANY(:runs::uuid[])
  AND NOT EXISTS (
    SELECT FROM chunk AS c
    WHERE c.run = s.run AND c.path = split_part(s.path, '[', 1) || '.chunk[' || iteration.number / 1000 || ']'
      AND NOT c.failed @> to_jsonb(iteration.number) AND s.tool <> 'orchestrator.wait_event')
ORDER BY run, seq;

-- query leased_rows: The rows under a lease. (With the state, because the index is partial.)
SELECT id, fence, cancel_requested FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease;

-- query cancel_requests: The runs under a lease with a requested cancel.
SELECT id FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease AND cancel_requested;

-- query depth: A project's rows by state (`_`: of all projects), and the age of the oldest claimable row.
SELECT state, count(*) AS rows, max(clock_now() - ready_time) FILTER (WHERE state = 'READY') AS oldest
FROM due_work
WHERE :project IN (project, '_')
GROUP BY state;

-- query oldest_unstarted: The oldest run of a task that is due and has not started.
SELECT id FROM due_work
WHERE task = :task AND start_time IS NULL AND due_time <= clock_now()
ORDER BY id
LIMIT 1;

-- query queue_place: The place of a live run in the queue; claimable runs before it are counted up to a limit.
SELECT
  d.state, d.due_time, d.ready_time,
  (SELECT e.id FROM due_work AS e WHERE e.task = d.task AND e.exclusive) AS exclusive,
  (SELECT count(*) FROM (
    SELECT FROM due_work AS w
    WHERE w.state = 'READY' AND w.isolation_size IS NULL
      AND (w.priority, w.ready_time, w.id) < (d.priority, d.ready_time, d.id)
    LIMIT :count_to) AS before) AS ahead
FROM due_work AS d
WHERE d.id = :run;
