-- Which zone data future instants were computed with, so that a scheduler with newer data can plan them anew.

-- The newest IANA version that a scheduler here has had, such as 2026f.
ALTER TABLE installation ADD zone_data text NOT NULL DEFAULT '';

-- The version that next_instant was computed with; NULL: no zone has a part in it, empty: it is not known.
ALTER TABLE schedule_cursor ADD zone_data text DEFAULT '';
CREATE INDEX cursor_zone_data ON schedule_cursor (zone_data)
  WHERE next_instant IS NOT NULL AND zone_data IS NOT NULL AND NOT snoozed; -- cursor.outdated
