-- query look: The duties of a scheduler that have something to do. Each is found out from an index, in microseconds.
SELECT a.duty
FROM (VALUES
  ('fire', EXISTS (
    SELECT FROM schedule_cursor
    WHERE next_fire_time <= clock_now() AND next_fire_time >= clock_now() - interval '5 seconds')),
  ('plan', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time IS NULL)),
  ('catch_up', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time < clock_now() - interval '5 seconds')),
  -- Rows that are due before the next look: sweeping sets the alarm for them.
  ('promote', EXISTS (
      SELECT FROM due_work WHERE state = 'DELAYED' AND due_time <= clock_now() + interval '250 milliseconds')
    OR EXISTS (SELECT FROM due_work WHERE latest_start <= clock_now() AND start_time IS NULL)),
  -- For these four it is enough to know that there is something to look after.
  ('unsettled_ranges', EXISTS (SELECT FROM unsettled_range)),
  ('release_blocked', EXISTS (SELECT FROM due_work WHERE state = 'BLOCKED')),
  ('backfill', EXISTS (SELECT FROM backfill WHERE state = 'RUNNING' AND position IS NOT NULL)),
  ('child_runs', EXISTS (SELECT FROM run_child WHERE awaited)),
  ('number_events', EXISTS (SELECT FROM outbox WHERE position IS NULL)),
  ('relay_events', EXISTS (SELECT FROM outbox WHERE position IS NOT NULL AND NOT sent)),
  ('expire_waits', EXISTS (SELECT FROM wait WHERE deadline <= clock_now() AND resolve_time IS NULL)),
  ('backlog_scan', EXISTS (SELECT FROM wait WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT scanned)),
  ('overdue', EXISTS (SELECT FROM task_health WHERE overdue_time <= clock_now())),
  ('rescue', EXISTS (
      SELECT FROM lease AS l WHERE l.expire_time <= clock_now() AND EXISTS (
        SELECT FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id))
    OR EXISTS (
      SELECT FROM due_work
      WHERE state = 'READY' AND isolation_size IS NOT NULL AND (losses >= max_losses OR cancel_requested)))
) AS a (duty, waits)
WHERE a.waits;
