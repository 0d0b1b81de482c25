-- Stretches of time that a cursor has left behind before everything in them was accounted for: its task was changed,
-- paused or deleted while no scheduler could fire it. A scheduler enters in the ledger what became of their instants.
CREATE TABLE arrears (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- arrears.oldest
  task uuid NOT NULL REFERENCES task,
  task_version bigint NOT NULL, -- whose schedule held
  generation int NOT NULL,
  after_time timestamptz NOT NULL, -- exclusive
  until_time timestamptz NOT NULL, -- inclusive
  paused boolean NOT NULL -- the task was, all the time
);
