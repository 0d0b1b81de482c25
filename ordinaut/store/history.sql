-- query ensure_partitions: Partitions of run and step_run for this week and the coming ones.
SELECT ensure_partitions(:weeks);
