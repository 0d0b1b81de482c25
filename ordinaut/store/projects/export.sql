-- query snapshot: All statements of the transaction see the same rows.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- query project: The project.
SELECT to_jsonb(x)::text FROM project AS x WHERE x.name = :project;

-- query quotas: Quotas that were set.
SELECT to_jsonb(x)::text FROM project_quota AS x WHERE x.project = :project ORDER BY x.quota;

-- query agents: Agents.
SELECT to_jsonb(x)::text FROM agent AS x WHERE x.project = :project ORDER BY x.name;

-- query tokens: Tokens, without the hashes of their secrets.
SELECT (to_jsonb(x) - 'secret_hash')::text FROM agent_token AS x WHERE x.project = :project ORDER BY x.public_id;

-- query tools: Tools, whose definitions have the names of their secrets only.
SELECT to_jsonb(x)::text FROM tool AS x WHERE x.project = :project ORDER BY x.name;

-- query tasks: Tasks, also deleted ones.
SELECT to_jsonb(x)::text FROM task AS x WHERE x.project = :project ORDER BY x.uid;

-- fragment of_tasks: The rows of a table by task.
 AS x JOIN task AS t ON t.uid = x.task WHERE t.project = :project

-- query versions: Versions of tasks, and documents of runs without one.
SELECT to_jsonb(x)::text FROM task_version
-- include of_tasks
ORDER BY x.task, x.version;

-- query cursors: Cursors.
SELECT to_jsonb(x)::text FROM schedule_cursor
-- include of_tasks
;

-- query ranges: Unsettled ranges.
SELECT to_jsonb(x)::text FROM unsettled_range
-- include of_tasks
;

-- query healths: Health of tasks.
SELECT to_jsonb(x)::text FROM task_health
-- include of_tasks
;

-- query triggers: Event triggers.
SELECT to_jsonb(x)::text FROM event_trigger
-- include of_tasks
;

-- query occurrences: The ledger.
SELECT to_jsonb(x)::text FROM occurrence
-- include of_tasks
;

-- query backfills: Backfills.
SELECT to_jsonb(x)::text FROM backfill
-- include of_tasks
;

-- query backfill_runs: Runs of backfills.
SELECT to_jsonb(x)::text FROM backfill_run
-- include of_runs
;

-- query live_runs: The queue.
SELECT to_jsonb(x)::text FROM due_work AS x WHERE x.project = :project ORDER BY x.id;

-- query runs: Ended runs.
SELECT to_jsonb(x)::text FROM run AS x WHERE x.project = :project ORDER BY x.id;

-- fragment of_runs: The rows of a table by run.
 AS x WHERE x.run IN (SELECT id FROM run WHERE project = :project UNION ALL SELECT id FROM due_work WHERE project = :project)

-- query steps: Steps of runs.
SELECT to_jsonb(x)::text FROM step_run
-- include of_runs
ORDER BY x.run, x.seq;

-- query retries: Runs that are retries.
SELECT to_jsonb(x)::text FROM run_retry
-- include of_runs
;

-- query children: Runs that steps have started.
SELECT to_jsonb(x)::text FROM run_child
-- include of_runs
;

-- query limits: Limits of runs.
SELECT to_jsonb(x)::text FROM run_limit
-- include of_runs
;

-- query waits: Waits.
SELECT to_jsonb(x)::text FROM wait AS x WHERE x.project = :project;

-- query approvals: Approvals.
SELECT to_jsonb(x)::text FROM approval AS x WHERE x.project = :project ORDER BY x.id;

-- query state_entries: State.
SELECT to_jsonb(x)::text FROM state_entry AS x WHERE x.project = :project ORDER BY x.namespace, x.key;

-- query event_ids: Ids of events.
SELECT (to_jsonb(x) - 'hash')::text FROM event AS x WHERE x.project = :project ORDER BY x.publisher, x.source, x.id;

-- query events: The event log.
SELECT to_jsonb(x)::text FROM outbox AS x WHERE x.project = :project ORDER BY x.id;

-- query audit_records: The audit log.
SELECT to_jsonb(x)::text FROM audit AS x WHERE x.project = :project ORDER BY x.id;

-- query audit_seals: The chain of the audit log.
SELECT to_jsonb(x)::text FROM audit_seal AS x WHERE x.project = :project ORDER BY x.seq;

-- query audit_checkpoint: Where the chain begins.
SELECT to_jsonb(x)::text FROM audit_checkpoint AS x WHERE x.project = :project;
