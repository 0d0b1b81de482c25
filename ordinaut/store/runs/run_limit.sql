-- query limited_pipeline: The pipeline of a version whose runs are limited by what starts them.
SELECT pipeline::text FROM task_version
WHERE task = :task AND version = :version AND run_policy ->> 'rights' = 'LIMITED_BY_STARTER';

-- query of_run: The limit of a run.
SELECT scopes FROM run_limit WHERE run = :run;

-- query add: The limit of a new run.
INSERT INTO run_limit (run, scopes) VALUES (:run, :scopes::text[]);
