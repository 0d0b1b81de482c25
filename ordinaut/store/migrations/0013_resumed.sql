-- A resumed task may run the newest moment that passed while it was paused.

ALTER TABLE schedule_cursor ADD run_newest boolean NOT NULL DEFAULT false; -- of those up to paused_until
