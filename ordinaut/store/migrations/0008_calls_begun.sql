-- A call of an UNSAFE tool is recorded before it is made; the entry of its end takes the place of its start.

ALTER TABLE step_run DROP CONSTRAINT step_run_state_check;
ALTER TABLE step_run ADD CONSTRAINT step_run_state_check CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'SKIPPED'));
