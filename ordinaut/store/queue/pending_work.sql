-- query pending: The columns of Pending: the scheduler's loops that have work, and the number of workers.
-- One statement every 250 ms replaces a poll by each loop, so an idle system costs four queries a second. Each EXISTS
-- reads at most one entry of a partial index, which takes microseconds even with a million tasks. The answer is a hint,
-- not a claim: it takes no lock, and a loop that finds its rows locked by another scheduler does nothing. The loops
-- also run by their own period and by hints, so a wrong or lost answer delays work and never loses it.
-- The number of workers is for the metrics; it costs nothing in the same statement.
SELECT
  (SELECT count(*) FROM lease WHERE expire_time > clock_now()) AS workers,
  (SELECT coalesce(array_agg(a.loop), '{}') FROM (VALUES
  ('fire', EXISTS (
    SELECT FROM schedule_cursor
    WHERE next_fire_time <= clock_now() AND next_fire_time >= clock_now() - interval '5 seconds')),
  ('plan', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time IS NULL)),
  ('catch_up', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time < clock_now() - interval '5 seconds')),
  -- Rows that become due before the next query are included: promoting sets an alarm for them.
  ('promote', EXISTS (
      SELECT FROM due_work WHERE state = 'DELAYED' AND due_time <= clock_now() + interval '250 milliseconds')
    OR EXISTS (SELECT FROM due_work WHERE latest_start <= clock_now() AND start_time IS NULL)),
  -- For the next four a candidate is enough; whether it can proceed takes a larger query, which the loop itself makes.
  ('unsettled_ranges', EXISTS (SELECT FROM unsettled_range)),
  ('release_blocked', EXISTS (SELECT FROM due_work WHERE state = 'BLOCKED')),
  ('backfill', EXISTS (SELECT FROM backfill WHERE state = 'RUNNING' AND position IS NOT NULL)),
  ('child_runs', EXISTS (SELECT FROM run_child WHERE awaited)),
  ('number_events', EXISTS (SELECT FROM outbox WHERE position IS NULL)),
  ('send_events', EXISTS (SELECT FROM outbox WHERE position IS NOT NULL AND NOT sent)),
  ('expire_waits', EXISTS (SELECT FROM wait WHERE deadline <= clock_now() AND resolve_time IS NULL)),
  ('backlog_scan', EXISTS (SELECT FROM wait WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT scanned)),
  ('judge', EXISTS (SELECT FROM match_todo WHERE NOT held)
    OR EXISTS (SELECT FROM event_trigger WHERE judged_position IS NOT NULL AND disable_reason = '')),
  ('seal_audit', EXISTS (SELECT FROM audit_todo)),
  ('overdue_tasks', EXISTS (SELECT FROM task_health WHERE overdue_time <= clock_now())),
  ('rescue', EXISTS (
      SELECT FROM lease AS l WHERE l.expire_time <= clock_now() AND EXISTS (
        SELECT FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id))
    OR EXISTS (
      SELECT FROM due_work
      WHERE state = 'READY' AND isolation_size IS NOT NULL AND (losses >= max_losses OR cancel_requested AND NOT has_finally(task, task_version))))
) AS a (loop, has_work)
WHERE a.has_work) AS loops;
