-- The log, and what belongs to it.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'signalbox_app') THEN
    CREATE ROLE signalbox_app NOLOGIN;
  END IF;
  -- Roles belong to the whole cluster: another database's replica may have made it meanwhile.
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END
$$;

DO $$
BEGIN
  EXECUTE format('GRANT signalbox_app TO %I', current_user);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO signalbox_app', current_schema());
END
$$;

-- One row, locked by whoever appends: positions are gapless and in the order of commits.
CREATE TABLE event_log_head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  position bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO event_log_head (position) VALUES (0);

CREATE TABLE events (
  organization_id uuid NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  position bigint NOT NULL CHECK (position > 0),
  event_id uuid NOT NULL,
  type text NOT NULL,
  schema_version integer NOT NULL CHECK (schema_version > 0),
  payload jsonb NOT NULL,
  actor_kind text NOT NULL,
  actor_id uuid,
  request_id text,
  causation_id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (organization_id, version)
);
CREATE UNIQUE INDEX events_position ON events (position);
CREATE INDEX events_organization_position ON events (organization_id, position);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE snapshots (
  organization_id uuid NOT NULL,
  version bigint NOT NULL,
  fold_version integer NOT NULL,
  hash bytea NOT NULL,
  state bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, version, fold_version)
);

-- The reply to each request that carried an Idempotency-Key, written by the transaction of its events.
CREATE TABLE idempotency_records (
  principal_id uuid NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  status integer NOT NULL,
  version bigint,
  location text,
  position bigint,
  body bytea NOT NULL,
  -- The secret that the reply shows, sealed under a key of the server; it lives as long as the record.
  sealed_secret bytea,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (principal_id, key)
);
CREATE INDEX idempotency_records_created_at ON idempotency_records (created_at);

GRANT SELECT, UPDATE ON event_log_head TO signalbox_app;
GRANT SELECT, INSERT ON events TO signalbox_app;
GRANT SELECT, INSERT, DELETE ON snapshots TO signalbox_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records TO signalbox_app;
GRANT SELECT ON schema_migrations TO signalbox_app;
