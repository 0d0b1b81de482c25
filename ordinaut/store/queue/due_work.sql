-- fragment end: Writes history and events of the runs deleted from due_work as `gone`. Its rows have the deleted row's
-- columns and end_state, output, error, reason, now.
history AS (
  INSERT INTO run (
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, state, output, error, claims, losses, depth, cancel_reason, log_mark, create_time,
    start_time, end_time)
  SELECT
    id, project, task, task_name, task_version, owner, labels, kind, trigger, occurrence, root, params, event,
    scheduled_time, interval_end, end_state, output, error, claims, losses, depth, reason, log_mark, create_time,
    start_time, now
  FROM gone
  ON CONFLICT (id) DO NOTHING -- a recorded end is final; the queue row is deleted in any case
),
-- include wait.delete_waits
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

-- fragment cancelled_waits: Open waits of cancelled runs become CANCELLED steps; steps that have an entry keep it.
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

-- fragment loss: The columns of a row after the loss of its engine or worker.
  -- Quarantine narrowing: the loss of an engine does not show which of its runs caused it, so all of them return with
  -- the next smaller isolation size. At most that many runs share a stream, and nothing else runs on it. A run that
  -- crashes its engine is alone after its fourth loss, while the harmless ones complete. Only losses of a run that was
  -- alone count towards max_losses, because no other run can have caused them.
  state = 'READY', lease_owner = NULL, ready_time = clock.now,
  losses = d.losses + (d.isolation_size IS NOT DISTINCT FROM 1)::int,
  isolation_size = CASE
    WHEN d.isolation_size IS NULL THEN 64
    WHEN d.isolation_size > 16 THEN 16
    WHEN d.isolation_size > 4 THEN 4
    ELSE 1 END
