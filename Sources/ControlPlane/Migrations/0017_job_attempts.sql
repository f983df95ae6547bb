-- What background jobs are working on, and what they failed at. A row is written before the work and deleted after it, so
-- that an item during which the process died is known. After three attempts an item is set aside until a person replays it
-- (ops/set-aside.md).
CREATE TABLE job_attempts (
  kind text NOT NULL,
  -- Names the item among those of its kind.
  item text NOT NULL CHECK (length(item) BETWEEN 1 AND 300),
  -- The same as a UUID where it has one, so that queries can leave out what is set aside.
  item_id uuid,
  set_aside_id uuid NOT NULL DEFAULT gen_random_uuid(),
  organization_id uuid,
  -- How many attempts failed, or ended with their process.
  attempts integer NOT NULL DEFAULT 0,
  -- The process that is working on it. It holds the advisory lock of this number for as long as it lives.
  holder bigint,
  -- Why the last attempt failed. The text is ours: it holds no stored data and no secret.
  error text,
  first_attempt_at timestamptz NOT NULL DEFAULT now(),
  last_attempt_at timestamptz NOT NULL DEFAULT now(),
  set_aside_at timestamptz,
  PRIMARY KEY (kind, item)
);
CREATE UNIQUE INDEX job_attempts_set_aside_id ON job_attempts (set_aside_id);
CREATE INDEX job_attempts_set_aside ON job_attempts (set_aside_at DESC, set_aside_id DESC)
  WHERE set_aside_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON job_attempts TO signalbox_app;

ALTER TABLE job_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY platform ON job_attempts USING ((SELECT signalbox_is_system()));
