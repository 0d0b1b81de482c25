-- The first schema: identity, definitions, the clock's cursors, the queue, history, events, state.
--
-- Enum texts equal the protos' values; times are timestamptz; ids are UUIDv7; `project` is in every unique key that a
-- caller can see. Payload columns are stored out of line, because a queue row is rewritten at each claim.

-- Every decision about time asks this. STABLE, because a volatile call is never an index condition; tests replace it.
CREATE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp();
END $$;

-- UUIDv7: PostgreSQL 18 has it, 16 and 17 get their own. Source: RFC 9562 section 5.7.
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

-- The smallest UUIDv7 of a moment: where a partition by time begins.
CREATE FUNCTION first_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

CREATE TABLE project (
  name text PRIMARY KEY,
  revision bigint NOT NULL DEFAULT 1, -- rises when a tool or an agent's scopes change: workers read both anew
  create_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO project (name) VALUES ('_');

-- One row: secrets and marks of this installation.
CREATE TABLE installation (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  page_token_key bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE agent (
  project text NOT NULL REFERENCES project,
  name text NOT NULL,
  display_name text NOT NULL DEFAULT '',
  scopes text[] NOT NULL,
  create_time timestamptz NOT NULL,
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

-- Immutable: a run pins the version that it began with.
CREATE TABLE task_version (
  task uuid NOT NULL REFERENCES task,
  version bigint NOT NULL,
  pipeline jsonb NOT NULL,
  tools text[] NOT NULL,
  schedule jsonb NOT NULL,
  run_policy jsonb NOT NULL,
  params jsonb NOT NULL,
  params_schema jsonb,
  overlap text CHECK (overlap IN ('SKIP', 'ALLOW')), -- NULL: by kind
  priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 9),
  max_losses smallint NOT NULL,
  run_timeout interval NOT NULL,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (task, version)
);

-- One per task: the look-ahead. next_fire_time NULL: to be planned; infinity: ended, paused or event-only.
CREATE TABLE schedule_cursor (
  task uuid PRIMARY KEY REFERENCES task,
  generation int NOT NULL,
  last_instant timestamptz NOT NULL,
  next_instant timestamptz,
  next_fire_time timestamptz,
  next_key text,
  next_trigger text,
  next_params jsonb,
  interval_end timestamptz,
  trigger_state jsonb,
  paused_until timestamptz -- instants up to here passed while paused and are recorded so
) WITH (fillfactor = 80);
CREATE INDEX cursor_due ON schedule_cursor (next_fire_time); -- cursor.fire, cursor.earliest, cursor.late
CREATE INDEX cursor_unplanned ON schedule_cursor (task) WHERE next_fire_time IS NULL; -- cursor.unplanned

CREATE TABLE event_trigger (
  project text NOT NULL,
  task uuid NOT NULL REFERENCES task,
  trigger text NOT NULL,
  topic text NOT NULL,
  condition text NOT NULL,
  params jsonb,
  effective_position bigint NOT NULL, -- only events after it are seen
  PRIMARY KEY (task, trigger)
);
CREATE INDEX event_trigger_project ON event_trigger (project); -- event.triggers

-- The ledger: one row per due moment, whatever became of it.
CREATE TABLE occurrence (
  project text NOT NULL,
  task uuid NOT NULL,
  key text NOT NULL,
  trigger text NOT NULL,
  instant timestamptz, -- NULL for events and manual runs
  last_instant timestamptz, -- of a collapsed row
  count int NOT NULL DEFAULT 1,
  outcome text NOT NULL
    CHECK (outcome IN ('ENQUEUED', 'SKIPPED_OVERLAP', 'COALESCED', 'MISSED', 'PAUSED')),
  reason text NOT NULL DEFAULT '',
  run uuid,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (task, key)
);
CREATE UNIQUE INDEX occurrence_instant ON occurrence (task, instant) WHERE instant IS NOT NULL; -- cursor.fire

-- One row per worker process: its time-bounded right to its rows.
CREATE TABLE lease (
  id uuid PRIMARY KEY,
  host text NOT NULL,
  address text NOT NULL,
  start_time timestamptz NOT NULL,
  expire_time timestamptz NOT NULL,
  draining boolean NOT NULL DEFAULT false
);

-- One live run: READY, LEASED or DELAYED; gone when the run ends.
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
  scheduled_time timestamptz,
  interval_end timestamptz,
  state text NOT NULL CHECK (state IN ('READY', 'LEASED', 'DELAYED')),
  due_time timestamptz NOT NULL,
  ready_time timestamptz NOT NULL,
  priority smallint NOT NULL,
  exclusive boolean NOT NULL,
  together smallint, -- NULL: may share a stream with any; else at most so many on a stream of their own
  lease_owner uuid,
  fence bigint NOT NULL DEFAULT 0,
  claims int NOT NULL DEFAULT 0,
  losses int NOT NULL DEFAULT 0, -- while alone
  max_losses smallint NOT NULL,
  run_timeout interval NOT NULL,
  depth smallint NOT NULL,
  segment_time timestamptz, -- what `now` is
  start_time timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  cancel_reason text NOT NULL DEFAULT '',
  create_time timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE due_work ALTER params SET STORAGE EXTERNAL, ALTER event SET STORAGE EXTERNAL;
CREATE INDEX due_work_claim ON due_work (priority, ready_time, id)
  WHERE state = 'READY' AND together IS NULL; -- due_work.claim
CREATE INDEX due_work_suspects ON due_work (together, ready_time, id)
  WHERE state = 'READY' AND together IS NOT NULL; -- due_work.claim_suspects
CREATE INDEX due_work_leased ON due_work (lease_owner) WHERE state = 'LEASED'; -- due_work.rescue, due_work.held
CREATE INDEX due_work_delayed ON due_work (due_time) WHERE state = 'DELAYED'; -- due_work.promote
CREATE UNIQUE INDEX due_work_exclusive ON due_work (task) WHERE exclusive; -- overlap is this index, not a decision
CREATE UNIQUE INDEX due_work_root ON due_work (root); -- one live run for one idempotency root
CREATE INDEX due_work_task ON due_work (task, id); -- run.list, due_work.cancel_task

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
  scheduled_time timestamptz,
  interval_end timestamptz,
  state text NOT NULL CHECK (state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')),
  output jsonb,
  error jsonb,
  claims int NOT NULL,
  losses int NOT NULL,
  depth smallint NOT NULL,
  cancel_reason text NOT NULL,
  create_time timestamptz NOT NULL,
  start_time timestamptz,
  end_time timestamptz NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE run_default PARTITION OF run DEFAULT;
CREATE INDEX run_task ON run (task, id); -- run.list of a task
CREATE INDEX run_project ON run (project, id); -- run.list of a project

-- One attempt of one step: record and journal in one.
CREATE TABLE step_run (
  run uuid NOT NULL,
  path text NOT NULL,
  attempt int NOT NULL,
  seq int NOT NULL,
  state text NOT NULL CHECK (state IN ('SUCCEEDED', 'FAILED', 'SKIPPED')),
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

-- Weekly partitions of history, from this week to `weeks` ahead; what lies outside goes to the default ones.
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

-- (source, id) of published events, once for ever.
CREATE TABLE event (
  project text NOT NULL,
  source text NOT NULL,
  id text NOT NULL,
  uid uuid NOT NULL,
  PRIMARY KEY (project, source, id)
);

-- The event log. A row is one published event or one batch of lifecycle events, `count` positions from `position` on.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  -- [{uid, topic, source, subject, id, data, publisher, depth}], never searched by its inside: json, which keeps the
  -- text, costs a quarter of jsonb where lifecycle events are put together.
  events json NOT NULL,
  count int NOT NULL,
  position bigint,
  sent boolean NOT NULL DEFAULT false,
  create_time timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_unnumbered ON outbox (id) WHERE position IS NULL; -- event.number
CREATE INDEX outbox_unsent ON outbox (position) WHERE position IS NOT NULL AND NOT sent; -- event.unsent
CREATE UNIQUE INDEX outbox_position ON outbox (position) WHERE position IS NOT NULL; -- event.read
CREATE INDEX outbox_project ON outbox (project, position) WHERE position IS NOT NULL; -- event.list

-- Counters of the log: `events` is the last numbered position, `matcher` the last matched one.
CREATE TABLE position (
  name text PRIMARY KEY,
  value bigint NOT NULL
);
INSERT INTO position (name, value) VALUES ('events', 0), ('matcher', 0);

-- Deleted entries stay as tombstones, so that no revision is used twice for one name.
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

-- Answers of mutating calls with a request_id, for 24 hours.
CREATE TABLE request_log (
  project text NOT NULL,
  agent text NOT NULL,
  method text NOT NULL,
  request_id text NOT NULL,
  hash bytea NOT NULL,
  answer bytea, -- NULL: it carried a secret
  create_time timestamptz NOT NULL,
  PRIMARY KEY (project, agent, method, request_id)
);
CREATE INDEX request_log_age ON request_log (create_time); -- request_log.forget
