-- query status: The schema version, the time, the delay of the most overdue schedule, and the sizes of backlogs.
SELECT
  (SELECT coalesce(max(version), 0) FROM schema_version) AS schema_version,
  clock_now() AS now,
  (SELECT coalesce(greatest(clock_now() - min(next_fire_time), interval '0'), interval '0')
    FROM schedule_cursor WHERE next_fire_time <= clock_now()) AS fire_lag,
  (SELECT coalesce(sum(count), 0)::bigint FROM outbox WHERE position IS NULL) AS outbox_backlog,
  (SELECT value FROM position WHERE name = 'events') AS last_position,
  (SELECT count(*) FROM lease WHERE expire_time > clock_now()) AS workers;

-- query workers: Worker processes with a live lease, and the number of runs that each has leased.
SELECT
  l.id, l.host, l.address, l.start_time, l.expire_time, l.draining,
  (SELECT count(*) FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id) AS leased_runs
FROM lease AS l
WHERE l.expire_time > clock_now()
ORDER BY l.id;

-- query ping: PostgreSQL answers.
SELECT 1;
