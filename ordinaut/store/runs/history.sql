-- query ensure_partitions: Creates missing partitions of run and step_run for this week and the next ones.
SELECT ensure_partitions(:weeks);
