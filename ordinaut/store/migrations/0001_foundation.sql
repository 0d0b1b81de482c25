-- The whole schema: identity, definitions, schedule cursors, the queue, history, events, approvals, state.
--
-- Enum texts equal the protos' values; times are timestamptz; ids are UUIDv7; `project` is in every unique key that a
-- caller can see. Payload columns are stored out of line, because a queue row is rewritten at each claim. The comment
-- after an index names the statements (file.query) that need it.

-- Every decision about time reads this clock. STABLE, because a volatile call is never an index condition; tests
-- replace it.
CREATE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp();
END $$;

-- UUIDv7: built in from PostgreSQL 18; 16 and 17 get this implementation. Source: RFC 9562 section 5.7.
DO $$
BEGIN
  IF to_regprocedure('pg_catalog.uuidv7()') IS NOT NULL THEN
    EXECUTE 'CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS ''SELECT pg_catalog.uuidv7()''';
  ELSE
    EXECUTE $body$
      CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $f$
        SELECT encode(
          set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
      $f$
    $body$;
  END IF;
END $$;

-- The smallest UUIDv7 of a time: the lower bound of a partition by time.
CREATE FUNCTION first_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Whether a text, which may be JSON, contains one of `forms` as `pattern` describes it. The escapes of white space and
-- control characters in JSON end with a letter or a digit, which would hide the beginning of a word.
CREATE FUNCTION mentions(content text, forms text[], pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT EXISTS (SELECT FROM unnest(forms) AS f (form) WHERE strpos(lower(content), lower(form)) > 0)
    AND regexp_replace(content, '\\([bfnrt]|u[0-9a-f]{4})', ' ', 'g') ~* pattern
$$;

CREATE TABLE project (
  name text PRIMARY KEY,
  revision bigint NOT NULL DEFAULT 1, -- rises when a tool or an agent's scopes change: workers read both anew
  create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'DELETING')),
  delete_time timestamptz -- of the request to delete it
);
INSERT INTO project (name) VALUES ('_');

-- Quotas that differ from the defaults (ordinaut/quotas.py); NULL: the default.
CREATE TABLE project_quota (
  project text NOT NULL REFERENCES project,
  quota text NOT NULL,
  agent_limit bigint CHECK (agent_limit >= 0), -- of each agent
  project_limit bigint CHECK (project_limit >= 0), -- of the project
  PRIMARY KEY (project, quota)
);

-- One row: secrets and counters of this installation.
CREATE TABLE installation (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  page_token_key bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
  -- All schedulers share one rate of catch-up: its runs are allotted up to here.
  catch_up_time timestamptz NOT NULL DEFAULT '-infinity',
  zone_data text NOT NULL DEFAULT '' -- newest IANA version that a scheduler has had, such as 2026f
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE agent (
  project text NOT NULL REFERENCES project,
  name text NOT NULL,
  uid uuid NOT NULL DEFAULT new_id(),
  display_name text NOT NULL DEFAULT '',
  scopes text[] NOT NULL,
  creator uuid, -- uid of the agent that created it, which may act for it; NULL: created in the database
  min_priority smallint NOT NULL DEFAULT 3 CHECK (min_priority BETWEEN 1 AND 9), -- most urgent one of what it owns
  create_time timestamptz NOT NULL,
  PRIMARY KEY (project, name)
);

-- Names of deleted agents. One is free again when no row refers to the deleted agent; until then a new agent with the
-- name would own its runs, tools and approvals.
CREATE TABLE deleted_agent (
  project text NOT NULL REFERENCES project ON DELETE CASCADE,
  name text NOT NULL,
  PRIMARY KEY (project, name)
);

CREATE TABLE agent_token (
  public_id text PRIMARY KEY,
  project text NOT NULL,
  agent text NOT NULL,
  secret_hash bytea NOT NULL,
  scopes text[] NOT NULL, -- empty: all of the agent's
  create_time timestamptz NOT NULL,
  expire_time timestamptz,
  revoke_time timestamptz,
  issuer text NOT NULL DEFAULT '', -- resource name of the token that created it; empty: created in the database
  -- The agents of the tokens that it descends from (`agents/…`): those whose token had `admin` in the second list.
  issuers text[] NOT NULL DEFAULT '{}',
  admin_issuers text[] NOT NULL DEFAULT '{}',
  last_use_time timestamptz, -- to the minute
  FOREIGN KEY (project, agent) REFERENCES agent
);

CREATE TABLE task (
  uid uuid PRIMARY KEY,
  project text NOT NULL REFERENCES project,
  name text NOT NULL,
  owner text NOT NULL,
  display_name text NOT NULL,
  description text NOT NULL,
  labels jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('ACTIVE', 'PAUSED', 'COMPLETED')),
  state_reason text NOT NULL DEFAULT '',
  version bigint NOT NULL,
  revision bigint NOT NULL, -- the etag
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz -- the row stays for its history
);
CREATE UNIQUE INDEX task_name ON task (project, name) WHERE delete_time IS NULL; -- task.get, task.list

-- Immutable: a run pins the version that it started with.
CREATE TABLE task_version (
  task uuid NOT NULL REFERENCES task,
  version bigint NOT NULL,
  pipeline jsonb NOT NULL,
  semantics smallint NOT NULL DEFAULT 1, -- revision of the meaning of expressions with which it was accepted
  tools text[] NOT NULL,
  scopes text[] NOT NULL DEFAULT '{}', -- of the token that saved it: its runs have those that its owner has as well
  schedule jsonb NOT NULL,
  run_policy jsonb NOT NULL,
  params jsonb NOT NULL,
  params_schema jsonb,
  overlap text
    CHECK (overlap IN ('SKIP', 'BUFFER_ONE', 'BUFFER_ALL', 'CANCEL_OTHER', 'ALLOW')), -- NULL: by kind of trigger
  max_buffer int, -- of BUFFER_ALL: the number of runs that may be BLOCKED
  ignore_waiting boolean NOT NULL DEFAULT false, -- a run that has waited does not count as live
  priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 9),
  max_losses smallint NOT NULL,
  run_timeout interval NOT NULL,
  start_deadline interval, -- NULL: none
  pause_after_failures smallint, -- NULL: never
  expect_success_every interval, -- NULL: not monitored
  create_time timestamptz NOT NULL,
  PRIMARY KEY (task, version)
);

-- One per task: its next occurrence. next_fire_time NULL: to be planned; infinity: ended, paused or event-only.
CREATE TABLE schedule_cursor (
  task uuid PRIMARY KEY REFERENCES task,
  generation int NOT NULL,
  last_instant timestamptz NOT NULL,
  next_instant timestamptz,
  next_fire_time timestamptz,
  next_key text,
  next_trigger text,
  next_params jsonb,
  next_outcome text CHECK (next_outcome IN ('EXCLUDED')), -- outcome of the next instant; NULL: it runs
  interval_end timestamptz,
  trigger_state jsonb,
  paused_until timestamptz, -- instants up to here are recorded as PAUSED
  run_newest boolean NOT NULL DEFAULT false, -- the newest of the instants up to paused_until runs
  snoozed boolean NOT NULL DEFAULT false, -- next_fire_time was chosen by SnoozeTask; planning clears it
  zone_data text DEFAULT '' -- version that next_instant was computed with; NULL: no zone is involved, empty: unknown
) WITH (fillfactor = 80);
CREATE INDEX cursor_due ON schedule_cursor (next_fire_time); -- cursor.fire, cursor.earliest, cursor.late
CREATE INDEX cursor_unplanned ON schedule_cursor (task) WHERE next_fire_time IS NULL; -- cursor.unplanned
CREATE INDEX cursor_zone_data ON schedule_cursor (zone_data)
  WHERE next_instant IS NOT NULL AND zone_data IS NOT NULL AND NOT snoozed; -- cursor.outdated

-- Time ranges that a cursor has passed before every instant in them was recorded: the task was changed, paused or
-- deleted while no scheduler could fire it. A scheduler records the outcome of these instants later.
CREATE TABLE unsettled_range (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- unsettled_range.oldest
  task uuid NOT NULL REFERENCES task,
  task_version bigint NOT NULL, -- the version whose schedule applies
  generation int NOT NULL,
  after_time timestamptz NOT NULL, -- exclusive
  until_time timestamptz NOT NULL, -- inclusive
  paused boolean NOT NULL -- the task was paused during the whole range
);

-- Success and failure of tasks whose policy asks for it.
CREATE TABLE task_health (
  task uuid PRIMARY KEY REFERENCES task,
  failures int NOT NULL DEFAULT 0, -- consecutive failed runs
  overdue_time timestamptz NOT NULL -- reported as overdue without a success by then; infinity: never
);
CREATE INDEX task_health_overdue ON task_health (overdue_time); -- task_health.take_overdue

-- The events in (effective_position, until_position] meet this condition. An edit of the topic or the condition ends the
-- row and adds another, so that events from before the edit meet the condition of their time.
CREATE TABLE event_trigger (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  task uuid NOT NULL REFERENCES task,
  trigger text NOT NULL,
  topic text NOT NULL,
  condition text NOT NULL,
  params jsonb,
  effective_position bigint NOT NULL, -- only events after it are seen
  until_position bigint, -- NULL: the trigger's current row
  denied boolean NOT NULL DEFAULT false, -- the owner may no longer read the topic
  exhaustions smallint NOT NULL DEFAULT 0, -- evaluations in a row that used up their fuel
  disable_reason text NOT NULL DEFAULT '', -- empty: enabled, or to be enabled if it has a judged_position
  disable_time timestamptz, -- the last time when it was disabled
  judged_position bigint -- while it is disabled: up to where it has judged the log
);
CREATE UNIQUE INDEX event_trigger_current ON event_trigger (task, trigger) WHERE until_position IS NULL;
CREATE INDEX event_trigger_task ON event_trigger (task, trigger); -- cursor.put_event_triggers
CREATE INDEX event_trigger_project ON event_trigger (project); -- event.triggers
CREATE INDEX event_trigger_ended ON event_trigger (id) WHERE until_position IS NOT NULL; -- match_todo.drop_ended
CREATE INDEX event_trigger_rearmed ON event_trigger (id)
  WHERE judged_position IS NOT NULL AND disable_reason = ''; -- match_todo.rearmed

-- The owners with as many live runs as their quota permits; '' stands for the whole project. A scheduler marks them every
-- few seconds, so that no run costs a count.
CREATE TABLE over_quota (
  project text NOT NULL,
  owner text NOT NULL,
  PRIMARY KEY (project, owner)
);

-- One row per due instant, with its outcome.
CREATE TABLE occurrence (
  project text NOT NULL,
  task uuid NOT NULL,
  key text NOT NULL,
  trigger text NOT NULL,
  instant timestamptz, -- NULL for events and manual runs
  last_instant timestamptz, -- of a merged row
  count int NOT NULL DEFAULT 1,
  outcome text NOT NULL CHECK (outcome IN (
    'ENQUEUED', 'BUFFERED', 'SKIPPED_OVERLAP', 'COALESCED', 'MISSED', 'PAUSED', 'EXCLUDED', 'SKIPPED', 'BACKPRESSURE')),
  reason text NOT NULL DEFAULT '',
  run uuid,
  reprocessed int NOT NULL DEFAULT 0, -- how often a backfill has run it again: makes the idempotency keys differ
  create_time timestamptz NOT NULL,
  PRIMARY KEY (task, key)
);
CREATE UNIQUE INDEX occurrence_instant ON occurrence (task, instant) WHERE instant IS NOT NULL; -- cursor.fire
CREATE INDEX occurrence_time ON occurrence (task, coalesce(instant, create_time), key); -- occurrence.list
CREATE INDEX occurrence_merged ON occurrence (task, instant) WHERE count > 1; -- occurrence.merged

-- One row per worker process.
CREATE TABLE lease (
  id uuid PRIMARY KEY,
  host text NOT NULL,
  address text NOT NULL,
  start_time timestamptz NOT NULL,
  expire_time timestamptz NOT NULL,
  draining boolean NOT NULL DEFAULT false
);

-- The end of the event log as a statement sees it. Events that were published before are those up to `position`, and of
-- the rows without a position at that time those up to `outbox_id` of transactions before `xid`. A row of a transaction
-- that was still open has a higher xid and counts as published later, although its id may be lower. Without the limit by
-- id, a database restored from a dump, in which xids begin again, would take all new events for old ones.
CREATE TYPE log_mark AS (position bigint, outbox_id bigint, xid bigint);

-- STABLE: it sees what the calling statement sees. plpgsql: the tables are created further down.
CREATE FUNCTION current_log_mark() RETURNS log_mark LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    (SELECT value FROM position WHERE name = 'events'),
    (SELECT last_value FROM outbox_id_seq),
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::log_mark;
END $$;

-- One live run; the row is deleted when the run ends. BLOCKED: buffered by the overlap policy, in the order of
-- ready_time; a transaction that adds a BLOCKED row holds the lock of the task's cursor. WAITING: see `wait`.
CREATE TABLE due_work (
  id uuid PRIMARY KEY,
  project text NOT NULL,
  task uuid NOT NULL,
  task_name text NOT NULL,
  task_version bigint NOT NULL,
  owner text NOT NULL,
  kind text NOT NULL,
  trigger text NOT NULL,
  occurrence text NOT NULL,
  root text NOT NULL,
  params jsonb NOT NULL,
  event jsonb,
  labels jsonb NOT NULL DEFAULT '{}', -- of the task when the run was enqueued
  scheduled_time timestamptz,
  interval_end timestamptz,
  state text NOT NULL CHECK (state IN ('READY', 'LEASED', 'DELAYED', 'WAITING', 'BLOCKED')),
  due_time timestamptz NOT NULL, -- while WAITING: when the wait began
  latest_start timestamptz, -- a run that has not started by then ends
  ready_time timestamptz NOT NULL,
  priority smallint NOT NULL,
  exclusive boolean NOT NULL,
  supersedes boolean NOT NULL DEFAULT false, -- BLOCKED until the older runs of its task have been cancelled
  isolation_size smallint, -- quarantine: the maximum number of runs on its stream; NULL: any
  lease_owner uuid,
  fence bigint NOT NULL DEFAULT 0,
  claims int NOT NULL DEFAULT 0,
  losses int NOT NULL DEFAULT 0, -- with isolation_size 1
  max_losses smallint NOT NULL,
  run_timeout interval NOT NULL,
  depth smallint NOT NULL,
  segment_time timestamptz, -- the value of `now`
  waited interval NOT NULL DEFAULT '0', -- time spent WAITING, which does not count towards run_timeout
  start_time timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  cancel_reason text NOT NULL DEFAULT '',
  log_mark log_mark NOT NULL DEFAULT current_log_mark(), -- its waits see events after it; of a retry: as of the first run
  create_time timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE due_work
  ALTER params SET STORAGE EXTERNAL, ALTER event SET STORAGE EXTERNAL, ALTER labels SET STORAGE EXTERNAL;
CREATE INDEX due_work_claim ON due_work (priority, ready_time, id)
  WHERE state = 'READY' AND isolation_size IS NULL; -- due_work_claim.claim
CREATE INDEX due_work_quarantine ON due_work (isolation_size, ready_time, id)
  WHERE state = 'READY' AND isolation_size IS NOT NULL; -- due_work_claim.claim_quarantined
CREATE INDEX due_work_leased ON due_work (lease_owner) WHERE state = 'LEASED'; -- due_work_recover.rescue, due_work_claim.leased_rows
CREATE INDEX due_work_delayed ON due_work (due_time) WHERE state = 'DELAYED'; -- due_work_recover.promote
CREATE INDEX due_work_latest_start ON due_work (latest_start)
  WHERE latest_start IS NOT NULL AND start_time IS NULL; -- due_work_recover.end_unstarted
CREATE UNIQUE INDEX due_work_exclusive ON due_work (task) WHERE exclusive; -- enforces the overlap policy
CREATE UNIQUE INDEX due_work_root ON due_work (root); -- one live run for one idempotency root
CREATE INDEX due_work_task ON due_work (task, id); -- run.list
CREATE INDEX due_work_blocked ON due_work (task, ready_time, id)
  WHERE state = 'BLOCKED'; -- overlap.release_blocked, blocked_runs
CREATE INDEX due_work_superseding ON due_work (task, ready_time, id)
  WHERE state = 'BLOCKED' AND supersedes; -- overlap.release_blocked, overlap.superseded

-- Whether a version of a task has steps that also run after a cancellation.
CREATE FUNCTION has_finally(wanted uuid, wanted_version bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM task_version WHERE task = wanted AND version = wanted_version AND pipeline ? 'finally');
$$;

-- The number of BLOCKED runs of a task, with its cursor locked, so that no other is added concurrently. VOLATILE: the
-- count is then taken after the lock was acquired and includes what its last holder has committed.
CREATE FUNCTION blocked_runs(wanted uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM schedule_cursor WHERE task = wanted FOR UPDATE;
  RETURN (SELECT count(*) FROM due_work WHERE task = wanted AND state = 'BLOCKED');
END $$;

-- One ended run.
CREATE TABLE run (
  id uuid NOT NULL,
  project text NOT NULL,
  task uuid NOT NULL,
  task_name text NOT NULL,
  task_version bigint NOT NULL,
  owner text NOT NULL,
  kind text NOT NULL,
  trigger text NOT NULL,
  occurrence text NOT NULL,
  root text NOT NULL,
  params jsonb NOT NULL,
  event jsonb,
  labels jsonb NOT NULL DEFAULT '{}', -- of the task when the run was enqueued
  scheduled_time timestamptz,
  interval_end timestamptz,
  state text NOT NULL CHECK (state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')),
  output jsonb,
  error jsonb,
  claims int NOT NULL,
  losses int NOT NULL,
  depth smallint NOT NULL,
  cancel_reason text NOT NULL,
  log_mark log_mark NOT NULL DEFAULT current_log_mark(), -- of due_work
  create_time timestamptz NOT NULL,
  start_time timestamptz,
  end_time timestamptz NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE run_default PARTITION OF run DEFAULT;
CREATE INDEX run_task ON run (task, id); -- run.list of a task
CREATE INDEX run_project ON run (project, id); -- run.list of a project

-- The run that a retry repeats, the parent of a child, the backfill of a run: separate tables, so that the queue and the
-- history carry no columns for the runs without them.
CREATE TABLE run_retry (
  run uuid PRIMARY KEY, -- the new run; run.get, run.list
  retry_of uuid NOT NULL
);
CREATE UNIQUE INDEX run_retry_of ON run_retry (retry_of); -- a run is retried once; retry.newest, backfill.examine, run.get

-- Of a run whose task has `rights: LIMITED_BY_STARTER`: the scopes of what has started it. Without a row: no limit.
CREATE TABLE run_limit (
  run uuid PRIMARY KEY,
  scopes text[] NOT NULL
);

CREATE TABLE run_child (
  run uuid PRIMARY KEY, -- the child; run.get, run.list
  parent uuid NOT NULL,
  path text NOT NULL, -- of the parent's step
  key uuid NOT NULL, -- of the step's idempotency key: the same key gets the same child
  awaited boolean NOT NULL -- the step waits for its end
);
CREATE INDEX run_child_key ON run_child (key, run); -- child.newest
CREATE INDEX run_child_parent ON run_child (parent, run); -- run.list, child.counts
CREATE INDEX run_child_awaited ON run_child (parent, path) WHERE awaited; -- child.ended, child.abandonable

-- Backfills: time ranges of a task's past that are run, or run again.
CREATE TABLE backfill (
  uid uuid PRIMARY KEY,
  task uuid NOT NULL REFERENCES task,
  id text NOT NULL,
  task_version bigint NOT NULL, -- pinned: its schedule and pipeline apply to the whole backfill
  generation int NOT NULL, -- of the keys of occurrences that have no row yet
  after_time timestamptz NOT NULL, -- exclusive
  until_time timestamptz NOT NULL, -- inclusive
  newest_first boolean NOT NULL,
  reprocess text NOT NULL CHECK (reprocess IN ('NONE', 'FAILED', 'ALL')),
  parallelism int NOT NULL,
  priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 9),
  params jsonb NOT NULL,
  starter_scopes text[], -- the limit of its runs (run_limit); NULL: none
  state text NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED')),
  state_reason text NOT NULL DEFAULT '',
  -- Instants after it are to be examined; newest first: instants up to it. NULL: none are left.
  position timestamptz,
  next_look_time timestamptz NOT NULL, -- the smallest is next; one in the future is being worked on
  total int NOT NULL, -- of instants; each becomes enqueued or skipped
  enqueued int NOT NULL DEFAULT 0,
  skipped int NOT NULL DEFAULT 0,
  live int NOT NULL DEFAULT 0, -- of the enqueued, those whose end is not counted yet
  succeeded int NOT NULL DEFAULT 0,
  failed int NOT NULL DEFAULT 0,
  cancelled int NOT NULL DEFAULT 0,
  create_time timestamptz NOT NULL,
  end_time timestamptz,
  UNIQUE (task, id) -- backfill.get, backfill.list
);
CREATE INDEX backfill_next_look ON backfill (next_look_time)
  WHERE state = 'RUNNING' AND position IS NOT NULL; -- backfill.claim

CREATE TABLE backfill_run (
  run uuid PRIMARY KEY,
  backfill uuid NOT NULL,
  live boolean NOT NULL DEFAULT true
);
CREATE INDEX backfill_run_live ON backfill_run (backfill) WHERE live; -- backfill.live_runs

-- The resource name of the backfill that a run belongs to; NULL: none.
CREATE FUNCTION backfill_of(of_run uuid) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
  SELECT concat('tasks/', t.name, '/backfills/', b.id)
  FROM backfill_run AS x
  JOIN backfill AS b ON b.uid = x.backfill
  JOIN task AS t ON t.uid = b.task
  WHERE x.run = of_run
$$;

-- One attempt of one step: record and journal in one. RUNNING: the call of an UNSAFE tool, recorded before it is made;
-- the entry of its end replaces it.
CREATE TABLE step_run (
  run uuid NOT NULL,
  path text NOT NULL,
  attempt int NOT NULL,
  seq int NOT NULL,
  state text NOT NULL CHECK (state IN ('RUNNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELLED')),
  tool text NOT NULL,
  input jsonb,
  output jsonb,
  error jsonb,
  segment_time timestamptz NOT NULL,
  start_time timestamptz NOT NULL,
  end_time timestamptz NOT NULL,
  PRIMARY KEY (run, path, attempt)
) PARTITION BY RANGE (run);
CREATE TABLE step_run_default PARTITION OF step_run DEFAULT;

-- Weekly partitions of history, from this week to `weeks` ahead; other ids are in the default partitions.
CREATE FUNCTION ensure_partitions(weeks int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  week timestamptz := date_trunc('week', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
  history text;
  part text;
BEGIN
  FOR ahead IN 0..weeks LOOP
    FOREACH history IN ARRAY ARRAY['run', 'step_run'] LOOP
      part := history || to_char((week + ahead * interval '7 days') AT TIME ZONE 'UTC', '_YYYYMMDD');
      IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, history,
          first_id(week + ahead * interval '7 days'), first_id(week + (ahead + 1) * interval '7 days'));
      END IF;
    END LOOP;
  END LOOP;
END $$;
SELECT ensure_partitions(3);

CREATE TABLE tool (
  project text NOT NULL REFERENCES project,
  name text NOT NULL,
  owner text NOT NULL, -- empty for tools of the system
  definition jsonb NOT NULL,
  revision bigint NOT NULL, -- the etag
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (project, name)
);

-- Ids that publishers gave to their events, unique for ever, with the first event of each.
CREATE TABLE event (
  project text NOT NULL,
  publisher text NOT NULL,
  source text NOT NULL,
  id text NOT NULL,
  uid uuid NOT NULL,
  hash bytea NOT NULL, -- of topic, subject and data: the id cannot be reused for another event
  create_time timestamptz NOT NULL,
  PRIMARY KEY (project, publisher, source, id)
);

-- The event log. A row is one published event or one batch of lifecycle events: `count` positions from `position`.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  -- [{uid, topic, source, subject, id, data, publisher, depth}]. Never searched by content: json, which keeps the text,
  -- costs a quarter of jsonb where lifecycle events are built.
  events json NOT NULL,
  count int NOT NULL,
  position bigint,
  sent boolean NOT NULL DEFAULT false,
  xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, -- the transaction that published it; see log_mark
  create_time timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_unnumbered ON outbox (id) WHERE position IS NULL; -- event.number
CREATE INDEX outbox_unsent ON outbox (position) WHERE position IS NOT NULL AND NOT sent; -- event.unsent
CREATE UNIQUE INDEX outbox_position ON outbox (position) WHERE position IS NOT NULL; -- event.read
CREATE INDEX outbox_project ON outbox (project, position) WHERE position IS NOT NULL; -- event.read

-- Counters of the log: `events` is the last numbered position, `matcher` the last matched one.
CREATE TABLE position (
  name text PRIMARY KEY,
  value bigint NOT NULL
);
INSERT INTO position (name, value) VALUES ('events', 0), ('matcher', 0);

-- Conditions to be evaluated on the events in (after_position, until_position] of a project: those of triggers, then
-- those of waits. The first `next` of them are evaluated on the first event.
CREATE TABLE match_todo (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  after_position bigint NOT NULL,
  until_position bigint NOT NULL,
  next int NOT NULL DEFAULT 0,
  triggers bigint[] NOT NULL,
  runs uuid[] NOT NULL, -- with `paths`: waits
  paths text[] NOT NULL,
  event_time timestamptz NOT NULL, -- of the first event: the deadline of a wait ends it only once later ones are judged
  held boolean NOT NULL DEFAULT false -- the tasks of the triggers are paused
);
CREATE INDEX match_todo_order ON match_todo (project, after_position, id) WHERE NOT held; -- match_todo.lock
CREATE INDEX match_todo_held ON match_todo USING gin (triggers) WHERE held; -- cursor.release_held
CREATE INDEX match_todo_waits ON match_todo USING gin (runs) WHERE runs <> '{}'; -- wait.due

-- One thing that a step of a live run waits for; kept until its result is in the journal, or the run has ended.
CREATE TABLE wait (
  run uuid NOT NULL,
  path text NOT NULL, -- empty for a DELAY: the next attempt of a step while others wait
  project text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('TIMER', 'EVENT', 'DELAY', 'APPROVAL', 'CHILD')),
  tool text NOT NULL,
  input jsonb,
  topic text NOT NULL,
  pattern boolean NOT NULL GENERATED ALWAYS AS (topic ~ '[*>]') STORED,
  match jsonb,
  since timestamptz, -- NULL: since the run was created
  log_mark log_mark, -- of the run, for an EVENT
  taken bigint[] NOT NULL DEFAULT '{}', -- positions of events that have ended earlier waits of the same line of steps
  deadline timestamptz,
  create_position bigint NOT NULL, -- the last position of the log when it was stored
  scanned boolean NOT NULL DEFAULT false, -- events from before it was known have been searched, or are in match_todo
  condition_error text, -- why `match` could not be evaluated on an event; the first reason
  result jsonb,
  error jsonb,
  create_time timestamptz NOT NULL,
  resolve_time timestamptz, -- NULL: open
  PRIMARY KEY (run, path)
);
CREATE INDEX wait_deadline ON wait (deadline) WHERE resolve_time IS NULL; -- wait.due
CREATE INDEX wait_topic ON wait (project, topic)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT pattern; -- wait.open
CREATE INDEX wait_pattern ON wait (project)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND pattern; -- wait.open
CREATE INDEX wait_unscanned ON wait (create_time)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT scanned; -- wait.unscanned

-- Questions that runs wait on, and their answers; kept when the run has ended. The run's owner, the assignees and
-- admins see and answer them.
CREATE TABLE approval (
  id uuid PRIMARY KEY,
  project text NOT NULL,
  run uuid NOT NULL,
  step text NOT NULL, -- the path of the wait
  task uuid NOT NULL,
  task_name text NOT NULL,
  owner text NOT NULL,
  depth smallint NOT NULL,
  tool text NOT NULL, -- empty: it guards no call
  hash text NOT NULL,
  message text NOT NULL,
  data jsonb, -- what is decided on
  choices text[] NOT NULL,
  answer_schema jsonb,
  editable text[] NOT NULL,
  assignees text[] NOT NULL,
  allow_self boolean NOT NULL,
  expire_time timestamptz,
  state text NOT NULL CHECK (state IN ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED', 'CANCELLED')),
  choice text,
  input jsonb,
  edited_input jsonb,
  agent text,
  comment text NOT NULL DEFAULT '',
  create_time timestamptz NOT NULL,
  end_time timestamptz
);
CREATE UNIQUE INDEX approval_open ON approval (run, step) WHERE state = 'PENDING'; -- approval.expire, run.get
CREATE INDEX approval_project ON approval (project, id); -- approval.list
CREATE INDEX approval_pending ON approval (project, id) WHERE state = 'PENDING'; -- approval.list of pending ones
CREATE INDEX approval_run ON approval (run, id); -- approval.list of a run

-- A wait is deleted when its run ends or no longer needs it; an approval that is pending then is cancelled. A trigger,
-- so that the end of a run without approvals costs nothing.
CREATE FUNCTION cancel_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH cancelled AS (
    UPDATE approval AS a SET state = 'CANCELLED', end_time = clock_now()
    WHERE a.run = OLD.run AND a.step = OLD.path AND a.state = 'PENDING'
    RETURNING a AS told
  )
  INSERT INTO outbox (project, events, count, create_time)
  SELECT (told).project, json_build_array(approval_event(told, 'cancelled')), 1, (told).end_time FROM cancelled;
  RETURN NULL;
END $$;

-- The lifecycle event of an approval. It leaves out the question: events are shared in the project, approvals are not.
CREATE FUNCTION approval_event(a approval, verb text) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object(
    'uid', concat(a.id, '-', verb), 'topic', concat('ordinaut.approval.', verb), 'source', concat('runs/', a.run),
    'subject', concat('approvals/', a.id), 'id', '', 'publisher', coalesce(a.agent, ''), 'depth', a.depth,
    'data', json_build_object(
      'state', a.state, 'task', CASE WHEN a.task_name <> '' THEN concat('tasks/', a.task_name) ELSE '' END,
      'task_uid', a.task, 'step', a.step, 'owner', a.owner, 'assignees', a.assignees, 'expire_time', a.expire_time))
$$;

CREATE TRIGGER wait_gone AFTER DELETE ON wait
  FOR EACH ROW WHEN (OLD.kind = 'APPROVAL' AND OLD.resolve_time IS NULL) EXECUTE FUNCTION cancel_approval();

-- Deleted entries stay as tombstones, so that no revision is used twice for a name.
CREATE TABLE state_entry (
  project text NOT NULL REFERENCES project,
  namespace text NOT NULL,
  key text NOT NULL,
  value jsonb,
  deleted boolean NOT NULL DEFAULT false,
  revision bigint NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (project, namespace, key)
);

-- Responses of mutating calls with a request_id, kept for 24 hours.
CREATE TABLE request_log (
  project text NOT NULL,
  agent text NOT NULL,
  method text NOT NULL,
  request_id text NOT NULL,
  hash bytea NOT NULL,
  scopes text[] NOT NULL, -- of the token that sent it: a token with less does not get the response
  answer bytea, -- NULL: it carried a secret
  create_time timestamptz NOT NULL,
  PRIMARY KEY (project, agent, method, request_id)
);
CREATE INDEX request_log_age ON request_log (create_time); -- request_log.delete_old

-- Who changed something or was refused. Append-only: see refuse_audit_change. The columns after `body` are copies of
-- its parts for filters; they cannot be written.
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- audit.list
  project text NOT NULL,
  time timestamptz NOT NULL,
  body_hash bytea NOT NULL, -- SHA-256 of body, also after an erasure
  body text, -- JSON; NULL: erased
  agent text GENERATED ALWAYS AS (body::jsonb ->> 'agent') STORED,
  resource text GENERATED ALWAYS AS (body::jsonb ->> 'resource') STORED
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX audit_project ON audit (project, id); -- audit.list
CREATE INDEX audit_resource ON audit (project, resource, id); -- audit.list

-- Records that are not in the chain yet. Users' transactions add a row each and take no lock of the chain.
CREATE TABLE audit_todo (
  id bigint PRIMARY KEY, -- audit_seal.todo
  project text NOT NULL
);

-- The chain of a project: hash = SHA-256(hash before || seq || entry || time || body_hash), numbers as 8 bytes, times as
-- microseconds since 1970. The hash before the first is that of the checkpoint, or SHA-256('ordinaut audit ' || project).
CREATE TABLE audit_seal (
  project text NOT NULL,
  seq bigint NOT NULL,
  entry bigint NOT NULL UNIQUE, -- of audit: sealed once
  hash bytea NOT NULL,
  seal_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (project, seq) -- audit_seal.head, audit_verify.sealed
);

-- Up to where retention has dropped the chain of a project.
CREATE TABLE audit_checkpoint (
  project text PRIMARY KEY,
  seq bigint NOT NULL,
  hash bytea NOT NULL
);

-- Refuses every change of records and seals but those of drop_audit, remove_audit and erase_audit, which set
-- ordinaut.audit in their body: only a superuser may create a function with this setting as an attribute. A role that
-- owns the tables can still disable the trigger: the chain shows it, an anchor outside of the database proves it.
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('ordinaut.audit', true) = 'drop' AND TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  IF current_setting('ordinaut.audit', true) = 'erase' AND TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit' THEN
    NEW.body := NULL;
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% of % is refused: audit records are only added', TG_OP, TG_TABLE_NAME USING ERRCODE = '42501';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON audit EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_seal_append_only BEFORE UPDATE OR DELETE ON audit_seal
  FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_seal_not_truncated BEFORE TRUNCATE ON audit_seal EXECUTE FUNCTION refuse_audit_change();

-- Drops sealed records older than `cutoff` from the beginning of a chain, at most `batch`, and returns their number.
-- The first record that is not older ends it. Under the lock of the sealer.
CREATE FUNCTION drop_audit(of_project text, cutoff timestamptz, batch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  last bigint;
  dropped bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ordinaut audit'), hashtext(of_project));
  SELECT max(x.seq) INTO last FROM (
    SELECT s.seq, bool_and(a.time IS NULL OR a.time < cutoff) OVER (ORDER BY s.seq) AS old
    FROM audit_seal AS s LEFT JOIN audit AS a ON a.id = s.entry
    WHERE s.project = of_project
    AND s.seq <= batch + (SELECT coalesce(min(f.seq), 1) - 1 FROM audit_seal AS f WHERE f.project = of_project)
  ) AS x WHERE x.old;
  IF last IS NULL THEN
    RETURN 0;
  END IF;
  INSERT INTO audit_checkpoint AS c (project, seq, hash)
  SELECT s.project, s.seq, s.hash FROM audit_seal AS s WHERE s.project = of_project AND s.seq = last
  ON CONFLICT (project) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;
  PERFORM set_config('ordinaut.audit', 'drop', true);
  DELETE FROM audit WHERE id IN (SELECT s.entry FROM audit_seal AS s WHERE s.project = of_project AND s.seq <= last);
  DELETE FROM audit_seal AS s WHERE s.project = of_project AND s.seq <= last;
  GET DIAGNOSTICS dropped = ROW_COUNT;
  PERFORM set_config('ordinaut.audit', '', true);
  RETURN dropped;
END $$;

-- Deletes records of a project that is being deleted, at most `batch`, with their seals; at the end its checkpoint.
-- Returns the number of records. Under the lock of the sealer.
CREATE FUNCTION remove_audit(of_project text, batch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  gone bigint[];
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ordinaut audit'), hashtext(of_project));
  IF NOT EXISTS (SELECT FROM project AS p WHERE p.name = of_project AND p.state = 'DELETING') THEN
    RAISE EXCEPTION 'project % is not being deleted', of_project USING ERRCODE = '42501';
  END IF;
  gone := ARRAY(SELECT a.id FROM audit AS a WHERE a.project = of_project ORDER BY a.id LIMIT batch);
  DELETE FROM audit_todo WHERE id = ANY(gone);
  PERFORM set_config('ordinaut.audit', 'drop', true);
  DELETE FROM audit_seal WHERE entry = ANY(gone);
  DELETE FROM audit WHERE id = ANY(gone);
  PERFORM set_config('ordinaut.audit', '', true);
  IF cardinality(gone) < batch THEN
    DELETE FROM audit_checkpoint WHERE project = of_project;
  END IF;
  RETURN cardinality(gone);
END $$;

-- Erases the contents of records, for the deletion of one person's data: hashes and places in the chain are kept. The
-- erasure is itself recorded. Returns the number of erased records.
CREATE FUNCTION erase_audit(of_project text, ids bigint[], why text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  erased bigint;
BEGIN
  PERFORM set_config('ordinaut.audit', 'erase', true);
  UPDATE audit SET body = NULL WHERE project = of_project AND id = ANY(ids) AND body IS NOT NULL;
  GET DIAGNOSTICS erased = ROW_COUNT;
  PERFORM set_config('ordinaut.audit', '', true);
  WITH added AS (
    INSERT INTO audit (project, time, body_hash, body)
    SELECT of_project, clock_now(), sha256(convert_to(written.body, 'UTF8')), written.body
    FROM (
      SELECT jsonb_build_object(
        'agent', 'database:' || session_user, 'method', 'erase_audit', 'resource', 'auditRecords/' || i.id,
        'outcome', 'DONE', 'reason', why, 'count', 1)::text AS body
      FROM unnest(ids) AS i (id)) AS written
    RETURNING id, project
  )
  INSERT INTO audit_todo (id, project) SELECT id, project FROM added;
  RETURN erased;
END $$;
REVOKE EXECUTE ON FUNCTION drop_audit, remove_audit, erase_audit FROM PUBLIC;
