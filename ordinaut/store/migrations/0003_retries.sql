-- Which run a retry takes up. A table of its own: the queue and the history carry nothing for the runs that are none.
CREATE TABLE run_retry (
  run uuid PRIMARY KEY, -- the new run; run.get, run.list
  retry_of uuid NOT NULL
);
