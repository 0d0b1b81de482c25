-- query status: The schema version and the time; of a project, the delay of the most overdue schedule and the sizes of
-- backlogs.
SELECT
  (SELECT coalesce(max(version), 0) FROM schema_version) AS schema_version,
  clock_now() AS now,
  (SELECT coalesce(greatest(clock_now() - min(next_fire_time), interval '0'), interval '0')
    FROM schedule_cursor AS c JOIN task AS t ON t.uid = c.task
    WHERE c.next_fire_time <= clock_now() AND :project IN (t.project, '_')) AS fire_lag,
  (SELECT coalesce(sum(count), 0)::bigint FROM outbox WHERE position IS NULL AND :project IN (project, '_')) AS outbox_backlog,
  coalesce((SELECT position + count - 1 FROM outbox WHERE project = :project AND position IS NOT NULL
    ORDER BY position DESC LIMIT 1), 0) AS last_position,
  (SELECT count(*) FROM lease WHERE expire_time > clock_now()) AS workers;

-- query workers: Worker processes with a live lease, and the number of runs of a project that each has leased. Where
-- they are is only for an installation with one project, and for the operator (`_`), who sees all figures.
SELECT
  l.id,
  CASE WHEN sole.project THEN l.host ELSE '' END AS host,
  CASE WHEN sole.project THEN l.address ELSE '' END AS address,
  l.start_time, l.expire_time, l.draining,
  (SELECT count(*) FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id AND :project IN (d.project, '_'))
    AS leased_runs
FROM lease AS l
CROSS JOIN (SELECT :project = '_' OR NOT EXISTS (SELECT FROM project WHERE name NOT IN (:project, '_')) AS project) AS sole
WHERE l.expire_time > clock_now()
ORDER BY l.id;

-- query late_tasks: Tasks of a project, of one owner or of all, that are late: the columns of LateTaskRecord, in its order.
-- Overdue tasks are those whose lapse was reported: reporting it sets overdue_time to infinity.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), late AS (
  (SELECT c.task, 'NOT_FIRED' AS reason, c.next_fire_time AS due_time
  FROM clock, schedule_cursor AS c
  WHERE c.next_fire_time < clock.now - interval '5 seconds')
  UNION ALL
  (SELECT d.task, 'NOT_STARTED', min(d.ready_time)
  FROM clock, due_work AS d
  WHERE d.state = 'READY' AND d.ready_time < clock.now - interval '30 seconds' AND d.task IS NOT NULL
    AND d.project = :project
  GROUP BY d.task)
  UNION ALL
  (SELECT h.task, 'NO_SUCCESS', NULL
  FROM task_health AS h
  WHERE h.overdue_time = 'infinity')
)
SELECT t.name, t.uid, late.reason, late.due_time, clock.now - late.due_time AS delay
FROM late
CROSS JOIN clock
JOIN task AS t ON t.uid = late.task
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.project = :project AND (:owner::text IS NULL OR t.owner = :owner) AND t.delete_time IS NULL
  AND (late.reason <> 'NO_SUCCESS' OR v.expect_success_every IS NOT NULL AND t.state = 'ACTIVE')
ORDER BY late.due_time NULLS LAST, t.uid
LIMIT :size;

-- query worker_count: The number of worker processes with a live lease.
SELECT count(*) FROM lease WHERE expire_time > clock_now();

-- query ping: PostgreSQL answers.
SELECT 1;
