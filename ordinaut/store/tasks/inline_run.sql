-- query live: The number of live runs of an agent without a task, counted up to a limit.
SELECT count(*) FROM (SELECT FROM due_work AS d WHERE d.task = :holder LIMIT :count_to) AS live;

-- query room: The same, and whether the agent or its project has as many live runs as its quota permits.
SELECT
  (SELECT count(*) FROM (SELECT FROM due_work AS d WHERE d.task = :holder LIMIT :count_to) AS live) AS live,
  EXISTS (SELECT FROM over_quota AS q WHERE q.project = :project AND q.owner IN ('', :owner)) AS over_quota;

-- query create_holder: The hidden task that has the inline documents of an agent as its versions.
INSERT INTO task (
  uid, project, name, owner, display_name, description, labels, state, version, revision, create_time, update_time,
  delete_time)
SELECT :holder, :project, '', :owner, '', '', '{}', 'COMPLETED', 0, 1, now, now, now
FROM (SELECT clock_now() AS now) AS clock
ON CONFLICT (uid) DO NOTHING;

-- query create_version: A document; one that was stored before is not stored again.
INSERT INTO task_version (
  task, version, pipeline, semantics, tools, scopes, schedule, run_policy, params, params_schema, overlap, priority, max_losses,
  run_timeout, start_deadline, create_time)
VALUES (
  :holder, :version, :pipeline::jsonb, :semantics::smallint, :tools::text[], :scopes::text[], :schedule::jsonb, :run_policy::jsonb, '{}', NULL, 'ALLOW',
  :priority::smallint, :max_losses::smallint, :run_timeout::interval,
  :start_deadline::interval, clock_now())
ON CONFLICT (task, version) DO NOTHING;

-- query enqueue: A run of a document.
WITH fresh AS (
  SELECT
    :run::uuid AS run, t.project, t.uid AS task, t.name AS task_name, v.version AS task_version, t.owner, t.labels,
    'INLINE' AS kind, '' AS trigger, 'run:' || :run::uuid AS key, 'run:' || :run::uuid AS root, :params::jsonb AS params,
    NULL::jsonb AS event, NULL::timestamptz AS scheduled_time, NULL::timestamptz AS interval_end,
    :start_time::timestamptz AS start_time, greatest(:start_time, clock.now) + v.start_deadline AS latest_start, v.priority, 'ALLOW' AS overlap, NULL::int AS max_buffer,
    v.max_losses, v.run_timeout, 0::smallint AS depth, NULL::timestamptz AS instant, 1 AS place, clock.now
  FROM task AS t JOIN task_version AS v ON v.task = t.uid AND v.version = :version
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE t.uid = :holder
),
-- include due_work_enqueue.enqueue
SELECT id FROM queued;
