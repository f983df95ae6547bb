-- The replica that may read without asking for the log's head, as ops/decisions/0007-read-leases.md says.

ALTER TABLE event_log_head
  -- Nobody else may append before this is null.
  ADD COLUMN sole_reader uuid,
  -- Names the attempt to make it null; until that is over, the sole reader's leases run out.
  ADD COLUMN revocation uuid,
  ADD CHECK (revocation IS NULL OR sole_reader IS NOT NULL);
