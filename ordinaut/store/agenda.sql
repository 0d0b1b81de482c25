-- query look: The duties of a scheduler that have something to do. Each is found out from an index, in microseconds.
SELECT a.duty
FROM (VALUES
  ('fire', EXISTS (
    SELECT FROM schedule_cursor
    WHERE next_fire_time <= clock_now() AND next_fire_time >= clock_now() - interval '5 seconds')),
  ('plan', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time IS NULL)),
  ('catch_up', EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time < clock_now() - interval '5 seconds')),
  ('arrears', EXISTS (SELECT FROM arrears)),
  ('turns', EXISTS (SELECT FROM due_work WHERE state = 'BLOCKED')),
  ('number', EXISTS (SELECT FROM outbox WHERE position IS NULL)),
  ('relay', EXISTS (SELECT FROM outbox WHERE position IS NOT NULL AND NOT sent)),
  ('deadline', EXISTS (SELECT FROM wait WHERE deadline <= clock_now() AND resolve_time IS NULL)),
  ('look_back', EXISTS (SELECT FROM wait WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT scanned)),
  ('overdue', EXISTS (SELECT FROM task_health WHERE overdue_time <= clock_now())),
  ('rescue', EXISTS (
      SELECT FROM lease AS l WHERE l.expire_time <= clock_now() AND EXISTS (
        SELECT FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id))
    OR EXISTS (
      SELECT FROM due_work
      WHERE state = 'READY' AND together IS NOT NULL AND (losses >= max_losses OR cancel_requested)))
) AS a (duty, waits)
WHERE a.waits;
