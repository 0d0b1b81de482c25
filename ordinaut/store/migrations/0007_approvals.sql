-- Questions that runs wait on, and their answers; they stay when the run has ended.

ALTER TABLE wait DROP CONSTRAINT wait_kind_check;
ALTER TABLE wait ADD CONSTRAINT wait_kind_check CHECK (kind IN ('TIMER', 'EVENT', 'DELAY', 'APPROVAL'));

-- Answered by who sees it: the run's owner, the assignees, admins.
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
CREATE INDEX approval_pending ON approval (project, id) WHERE state = 'PENDING'; -- approval.list of what is to be done
CREATE INDEX approval_run ON approval (run, id); -- approval.list of a run

-- A wait goes away when its run ends or does not need it any more; a question that is open then is cancelled. A trigger,
-- so that the end of a run that never asked anything costs nothing.
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

-- What tells that something has happened to an approval, without what is asked: events are shared, approvals are not.
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
