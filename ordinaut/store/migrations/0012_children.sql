-- Runs that steps of other runs start, and waits for their ends.

ALTER TABLE wait DROP CONSTRAINT wait_kind_check;
ALTER TABLE wait ADD CONSTRAINT wait_kind_check CHECK (kind IN ('TIMER', 'EVENT', 'DELAY', 'APPROVAL', 'CHILD'));

-- Which step started a run. A table of its own: the queue and the history carry nothing for the runs that are none.
CREATE TABLE run_child (
  run uuid PRIMARY KEY, -- the child; run.get, run.list
  parent uuid NOT NULL,
  path text NOT NULL, -- of the parent's step
  key uuid NOT NULL, -- of the step's idempotency key: who comes with the same gets the same child
  awaited boolean NOT NULL -- the step waits for its end
);
CREATE INDEX run_child_key ON run_child (key, run); -- child.known
CREATE INDEX run_child_parent ON run_child (parent, run); -- run.list, child.counts
CREATE INDEX run_child_awaited ON run_child (parent, path) WHERE awaited; -- child.ended, child.unwanted
