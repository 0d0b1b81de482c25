-- query create: The cursor of a new task.
INSERT INTO schedule_cursor (task, generation, last_instant, next_fire_time)
VALUES (:task, :generation, :last_instant, CASE WHEN :ends::boolean THEN 'infinity'::timestamptz END);

-- query end_event_triggers: Removes the event triggers that a task no longer has, and ends those with another topic or
-- condition: later events are not theirs. A disabled one is not ended, because its condition could not judge the
-- events that are pending: the new one will.
WITH removed AS (
  DELETE FROM event_trigger WHERE task = :task AND trigger <> ALL(:triggers::text[])
)
UPDATE event_trigger AS e SET until_position = p.value
FROM position AS p, unnest(:triggers::text[], :topics::text[], :conditions::text[]) AS n (trigger, topic, condition)
WHERE p.name = 'events' AND e.task = :task AND e.trigger = n.trigger AND e.until_position IS NULL
  AND (e.topic, e.condition) IS DISTINCT FROM (n.topic, n.condition)
  AND e.judged_position IS NULL AND e.effective_position < p.value;

-- query put_event_triggers: The event triggers of a task, after end_event_triggers. They match events after the last one
-- of an ended row, else after the log's current position.
WITH params AS (
  UPDATE event_trigger AS e SET params = n.params
  FROM unnest(:triggers::text[], :params::jsonb[]) AS n (trigger, params)
  WHERE e.task = :task AND e.trigger = n.trigger AND e.until_position IS NOT NULL
)
INSERT INTO event_trigger (project, task, trigger, topic, condition, params, effective_position)
SELECT :project, :task, e.trigger, e.topic, e.condition, e.params, coalesce(
  (SELECT max(o.until_position) FROM event_trigger AS o WHERE o.task = :task AND o.trigger = e.trigger),
  (SELECT value FROM position WHERE name = 'events'))
FROM unnest(:triggers::text[], :topics::text[], :conditions::text[], :params::jsonb[])
  AS e (trigger, topic, condition, params)
ON CONFLICT (task, trigger) WHERE until_position IS NULL DO UPDATE
SET topic = excluded.topic, condition = excluded.condition, params = excluded.params, denied = false;

-- query rearm: Enables the triggers of a task that were disabled; a scheduler has them judge what is pending.
UPDATE event_trigger SET disable_reason = '', exhaustions = 0
WHERE task = :task AND judged_position IS NOT NULL AND disable_reason <> '';

-- query release_held: The task is no longer paused: its triggers judge the events from before the pause.
UPDATE match_todo SET held = false
WHERE held AND triggers && ARRAY(SELECT id FROM event_trigger WHERE task = :task);

-- query disabled_triggers: The triggers of a task that are disabled: the columns of DisabledTrigger, in its order.
SELECT trigger, disable_reason, disable_time FROM event_trigger
WHERE task = :task AND disable_reason <> '' AND until_position IS NULL
ORDER BY trigger;

-- query drop_event_triggers: A deleted task matches no events.
DELETE FROM event_trigger WHERE task = :task;

-- query replan: The definition's triggers or zone changed: a new generation begins at the given time.
UPDATE schedule_cursor
SET
  generation = generation + 1, last_instant = greatest(last_instant, :last_instant), next_instant = NULL,
  next_key = NULL, next_trigger = NULL, next_params = NULL, interval_end = NULL, trigger_state = NULL,
  next_fire_time = CASE WHEN :ends::boolean THEN 'infinity'::timestamptz END
WHERE task = :task
RETURNING generation;

-- query lock_due: Locks the cursor before an edit, and returns whether it is due. A due instant fires now instead of
-- after its jitter and, if asked, instead of at its snoozed time; one more than five seconds late is left to catch-up.
SELECT
  CASE WHEN snoozed AND NOT :snoozed_too::boolean THEN next_fire_time ELSE next_instant END <= clock_now()
  AND next_fire_time >= clock_now() - interval '5 seconds' AS due
FROM schedule_cursor
WHERE task = :task
FOR UPDATE;

-- query leave_unsettled: Stores what a locked cursor has passed by now as unsettled ranges of the current version.
-- An edit, a pause or a deletion cannot compute instants: triggers are evaluated in Python, off the event loop, and may
-- take long. It stores the time range instead; a scheduler later records each instant in it by the old version's rules.
WITH passed AS MATERIALIZED (
  SELECT c.task, t.version, c.generation, s.after_time, s.until_time, coalesce(s.paused, false) AS paused
  FROM (SELECT clock_now() AS now) AS clock, schedule_cursor AS c
  JOIN task AS t ON t.uid = c.task
  CROSS JOIN LATERAL (
    VALUES
      (c.last_instant, c.paused_until, true), -- it was resumed and has not been planned since
      (coalesce(c.paused_until, c.last_instant), clock.now,
        c.next_fire_time = 'infinity' OR c.snoozed AND c.next_fire_time > clock.now)
  ) AS s (after_time, until_time, paused)
  WHERE c.task = :task AND s.after_time < s.until_time
    AND (c.next_fire_time IS NULL OR c.next_fire_time = 'infinity' OR c.next_instant <= clock.now)
), stored AS (
  INSERT INTO unsettled_range (task, task_version, generation, after_time, until_time, paused) SELECT * FROM passed
)
UPDATE schedule_cursor AS c
SET
  last_instant = newest.until_time, next_instant = NULL, paused_until = NULL, snoozed = false,
  next_fire_time = CASE WHEN c.next_fire_time = 'infinity' THEN c.next_fire_time END
FROM (SELECT max(until_time) AS until_time FROM passed) AS newest
WHERE c.task = :task AND newest.until_time IS NOT NULL;

-- query lock: Locks the cursor, and with it the ledger rows of the task's instants.
SELECT task FROM schedule_cursor WHERE task = :task FOR UPDATE;

-- query upcoming: The next instant of a cursor.
SELECT last_instant, next_instant, next_fire_time, next_outcome, interval_end, snoozed, clock_now() AS now,
  EXISTS (SELECT FROM occurrence AS o WHERE o.task = c.task AND o.instant = c.next_instant) AS recorded
FROM schedule_cursor AS c
WHERE task = :task;

-- query snooze: The next instant starts at another time.
UPDATE schedule_cursor SET next_fire_time = :fire_time, snoozed = true WHERE task = :task AND next_instant IS NOT NULL;

-- query pause: Nothing fires until resumed.
UPDATE schedule_cursor
SET next_fire_time = 'infinity', next_instant = NULL
WHERE task = :task;

-- query resume: Fires again; planning records the instants of the pause, and runs the newest one if asked.
UPDATE schedule_cursor
SET next_fire_time = NULL, paused_until = clock_now(), run_newest = :run_newest
WHERE task = :task;

-- query remove: A deleted task never fires again.
UPDATE schedule_cursor SET next_fire_time = 'infinity', next_instant = NULL WHERE task = :task;

-- fragment due_run: The run of an instant in `due`; `t` is its task and `v` the version.
    new_id() AS run, t.project, t.uid AS task, t.name AS task_name, v.version AS task_version, t.owner, t.labels,
    'SCHEDULED' AS kind, due.next_trigger AS trigger, due.next_key AS key, t.uid || '/' || due.next_key AS root,
    CASE WHEN due.next_params IS NULL THEN v.params ELSE v.params || due.next_params END AS params,
    NULL::jsonb AS event, due.next_instant AS scheduled_time, due.interval_end, NULL::timestamptz AS start_time,
    due.next_fire_time + v.start_deadline AS latest_start, v.priority,
    CASE
      WHEN due.always_buffer AND v.overlap IS DISTINCT FROM 'ALLOW' THEN 'ALWAYS_BUFFER'
      ELSE coalesce(v.overlap, 'SKIP')
    END AS overlap,
    v.max_buffer, v.max_losses, v.run_timeout, 0::smallint AS depth, due.next_instant AS instant, 1 AS place, due.now

-- fragment unrecorded: An instant in `due` is not in the ledger.
NOT EXISTS (SELECT FROM occurrence AS o WHERE o.task = due.task AND o.key = due.next_key)
AND NOT EXISTS (SELECT FROM occurrence AS o WHERE o.task = due.task AND o.instant = due.next_instant)

-- fragment fire_due: Turns the cursors in `due` into runs and ledger rows, and leaves them to be planned.
-- One statement does all of it, so that a crash leaves either every part of an occurrence or none: the queue row, the
-- ledger row that names its run, and the cursor past the instant. The overlap policy is decided by the unique index on
-- exclusive queue rows inside due_work_enqueue.enqueue, and the ledger gets the outcome that the insert had. No lock is
-- held between a decision and its write, and a thousand cursors cost one round trip. The check of the ledger makes firing
-- idempotent: an instant that was skipped, or that fired under older zone data, moves the cursor and creates nothing.
-- `due` has: task, next_instant, next_fire_time, next_key, next_outcome, next_trigger, next_params, interval_end,
-- generation, always_buffer (any overlap policy but ALLOW buffers it if a run is live), now.
fresh AS (
  SELECT
-- include due_run
  FROM due
  JOIN task AS t ON t.uid = due.task
  JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  WHERE due.next_outcome IS NULL AND
-- include unrecorded
),
-- include due_work_enqueue.enqueue
, unfired AS (
  INSERT INTO occurrence (project, task, key, trigger, instant, outcome, reason, create_time)
  SELECT t.project, t.uid, due.next_key, due.next_trigger, due.next_instant, due.next_outcome, 'its day is excluded',
    due.now
  FROM due JOIN task AS t ON t.uid = due.task
  WHERE due.next_outcome IS NOT NULL
  ON CONFLICT DO NOTHING
  RETURNING key
), moved AS (
  UPDATE schedule_cursor AS c
  SET last_instant = due.next_instant, next_instant = NULL, next_fire_time = NULL
  FROM due
  WHERE c.task = due.task
  RETURNING c.task
)
SELECT
  (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM queued) AS queued,
  (SELECT count(*) FROM blocked) AS buffered, (SELECT count(*) FROM unfired) AS excluded

-- query fire: Fires cursors that are due now, at most five seconds late.
WITH due AS MATERIALIZED (
  SELECT
    c.task, c.next_instant, c.next_fire_time, c.next_key, c.next_outcome, c.next_trigger, c.next_params,
    c.interval_end, c.generation, false AS always_buffer, clock.now
  FROM (SELECT clock_now() AS now) AS clock, schedule_cursor AS c
  WHERE c.next_fire_time <= clock_now() AND c.next_fire_time >= clock_now() - interval '5 seconds'
  ORDER BY c.next_fire_time -- the index's order; the order of locks does not matter, because SKIP LOCKED never waits
  LIMIT :batch
  FOR UPDATE OF c SKIP LOCKED
),
-- include fire_due

-- query fire_one: Fires the locked cursor of one task, even if its next instant is not due.
WITH due AS MATERIALIZED (
  SELECT
    c.task, c.next_instant, c.next_fire_time, c.next_key, c.next_outcome, c.next_trigger, c.next_params,
    c.interval_end, c.generation, :always_buffer::boolean AS always_buffer, clock.now
  FROM (SELECT clock_now() AS now) AS clock, schedule_cursor AS c
  WHERE c.task = :task AND c.next_instant IS NOT NULL
),
-- include fire_due

-- query earliest: When the next cursor is due, on the database's clock; late cursors are left to catch-up.
SELECT clock_now() AS now, min(next_fire_time) AS next_fire_time
FROM schedule_cursor
WHERE next_fire_time >= clock_now() - interval '5 seconds' AND next_fire_time < 'infinity';

-- fragment to_compute: The columns of PendingCursor, in its order.
SELECT
  c.task, t.project, c.generation, c.last_instant, c.next_instant, c.trigger_state::text AS trigger_state,
  v.schedule::text AS schedule, c.paused_until, c.run_newest, c.snoozed, c.zone_data, clock_now() AS now,
  ARRAY(SELECT o.instant FROM occurrence AS o
    WHERE o.task = c.task AND o.instant > c.last_instant AND o.outcome = 'SKIPPED') AS skipped
FROM schedule_cursor AS c
JOIN task AS t ON t.uid = c.task
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version

-- query unplanned: A batch of cursors to plan, with the schedule of their task, locked.
-- include to_compute
WHERE c.next_fire_time IS NULL
ORDER BY c.task
LIMIT :batch
FOR UPDATE OF c SKIP LOCKED;

-- query outdated: A batch of cursors that were planned with older zone data and are not due yet, locked. A snoozed one
-- keeps the time that a caller chose.
-- include to_compute
WHERE c.zone_data < :zone_data AND c.next_instant IS NOT NULL AND c.zone_data IS NOT NULL AND NOT c.snoozed
  AND c.next_fire_time > clock_now()
LIMIT :batch
FOR UPDATE OF c SKIP LOCKED;

-- query tasks_with_recorded: Which of these occurrences are in the ledger.
SELECT o.task
FROM unnest(:tasks::uuid[], :keys::text[]) AS k (task, key)
JOIN occurrence AS o ON o.task = k.task AND o.key = k.key;

-- query note_zone_data: Stores the newest version of zone data; returns the previous one.
WITH previous AS MATERIALIZED (SELECT zone_data FROM installation FOR UPDATE)
UPDATE installation AS i
SET zone_data = greatest(i.zone_data, :zone_data)
FROM previous
RETURNING previous.zone_data;

-- query may_catch_up: If a cursor is late and no other scheduler is catching up, locks the shared rate; true if a run
-- may start. `catch_up_time` is when the runs started so far are paid for at the permitted rate; it may lie up to a
-- second ahead, a burst of one second. More than two seconds ahead cannot be: the clock has been set back, and it is
-- ignored.
SELECT catch_up_time <= clock_now() + interval '1 second' OR catch_up_time > clock_now() + interval '2 seconds'
FROM installation
WHERE EXISTS (SELECT FROM schedule_cursor WHERE next_fire_time < clock_now() - interval '5 seconds')
FOR UPDATE SKIP LOCKED;

-- query count_catch_up: Charges one run to the shared rate.
UPDATE installation
SET catch_up_time = :seconds::float8 * interval '1 second'
  + CASE WHEN catch_up_time BETWEEN clock_now() AND clock_now() + interval '2 seconds' THEN catch_up_time
    ELSE clock_now() END;

-- query late: One cursor that is more than five seconds late, locked.
-- include to_compute
WHERE c.next_fire_time < clock_now() - interval '5 seconds'
ORDER BY c.next_fire_time, c.task
LIMIT 1
FOR UPDATE OF c SKIP LOCKED;

-- query plan: Stores computed next instants; a cursor without one has ended.
UPDATE schedule_cursor AS c
SET
  next_instant = p.next_instant, next_fire_time = coalesce(p.next_fire_time, 'infinity'), next_key = p.next_key,
  next_outcome = p.next_outcome, next_trigger = p.next_trigger, next_params = p.next_params, interval_end = p.interval_end,
  trigger_state = p.trigger_state, zone_data = p.zone_data, paused_until = NULL, snoozed = p.snoozed
FROM unnest(
  :tasks::uuid[], :instants::timestamptz[], :fire_times::timestamptz[], :outcomes::text[], :keys::text[],
  :triggers::text[], :params::jsonb[], :interval_ends::timestamptz[], :states::jsonb[], :zone_data::text[],
  :snoozed::boolean[])
  AS p (task, next_instant, next_fire_time, next_outcome, next_key, next_trigger, next_params, interval_end,
    trigger_state, zone_data, snoozed)
WHERE c.task = p.task;

-- query advance: Everything up to this instant is settled.
UPDATE schedule_cursor
SET
  last_instant = :last_instant, trigger_state = :trigger_state::jsonb, zone_data = :zone_data, next_instant = NULL,
  next_fire_time = NULL, paused_until = :paused_until::timestamptz
WHERE task = :task;

-- query first_due: The cursor that a batch of one would fire.
SELECT task FROM schedule_cursor
WHERE next_fire_time <= clock_now() AND next_fire_time >= clock_now() - interval '5 seconds'
ORDER BY task
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- query pause_task: Pauses a task for a reason of the system's: its schedule cannot be evaluated, or its runs failed.
WITH stopped AS (
  UPDATE schedule_cursor SET next_fire_time = 'infinity', next_instant = NULL WHERE task = :task
)
UPDATE task
SET state = 'PAUSED', state_reason = :reason, update_time = clock_now(), revision = revision + 1
WHERE uid = :task AND state = 'ACTIVE'
RETURNING uid, project, name;

-- query first_unplanned: The cursor that a batch of one would plan.
SELECT task FROM schedule_cursor WHERE next_fire_time IS NULL ORDER BY task LIMIT 1 FOR UPDATE SKIP LOCKED;

-- query tasks_with_ended_schedule: Active tasks with an ended schedule; normally each waits for its last run.
SELECT c.task
FROM schedule_cursor AS c
JOIN task AS t ON t.uid = c.task
WHERE c.next_fire_time = 'infinity' AND c.trigger_state IS NOT NULL AND t.state = 'ACTIVE' AND t.delete_time IS NULL
LIMIT :batch;

-- query record_unfired: Occurrences that will not run, neighbours with one outcome and reason in one row.
INSERT INTO occurrence (project, task, key, trigger, instant, last_instant, count, outcome, reason, create_time)
SELECT :project, :task, o.key, o.trigger, o.instant, o.last_instant, o.count, o.outcome, o.reason, clock_now()
FROM unnest(
  :keys::text[], :triggers::text[], :instants::timestamptz[], :last_instants::timestamptz[], :counts::int[],
  :outcomes::text[], :reasons::text[]) AS o (key, trigger, instant, last_instant, count, outcome, reason)
ON CONFLICT DO NOTHING;

-- query complete_tasks: Completes tasks with an ended schedule, without event triggers and live runs.
UPDATE task AS t
SET state = 'COMPLETED', state_reason = 'the schedule has ended', update_time = clock_now(), revision = t.revision + 1
FROM schedule_cursor AS c
WHERE t.uid = ANY(:tasks::uuid[]) AND c.task = t.uid AND t.state = 'ACTIVE' AND t.delete_time IS NULL
  AND c.next_fire_time = 'infinity' AND c.last_instant IS NOT NULL AND c.trigger_state IS NOT NULL
  AND NOT EXISTS (SELECT FROM event_trigger AS e WHERE e.task = t.uid)
  -- A subquery with a limit reads the index once for each of the few tasks left; an anti-join would read the whole
  -- queue.
  AND (SELECT d.id FROM due_work AS d WHERE d.task = t.uid LIMIT 1) IS NULL
RETURNING t.uid, t.project, t.name;
