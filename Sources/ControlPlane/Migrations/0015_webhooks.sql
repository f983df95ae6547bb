-- Webhooks: where a workspace wants to be told of what happens to it, and how far it was told. The endpoints are entities;
-- what is delivered is not in the log, and can be made anew from it by a replay (ops/webhooks.md).

CREATE TABLE webhook_endpoints (
  organization_id uuid NOT NULL REFERENCES organizations,
  endpoint_id uuid NOT NULL,
  url text NOT NULL,
  description text,
  event_types text[] NOT NULL,
  -- Signing keys, sealed under a key that is not in this database.
  secret bytea NOT NULL,
  secret_key_version bigint NOT NULL,
  former_secret bytea,
  former_secret_key_version bigint,
  former_secret_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text CHECK (disabled_reason IN ('operator', 'gone')),
  -- From where on deliveries were asked for last; a null position stands for that version's.
  start_version bigint NOT NULL,
  start_after bigint,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, endpoint_id),
  CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);

-- How far each endpoint is. Neither this nor the deliveries have a foreign key: whoever deletes an endpoint holds the
-- log's head, and must not wait for what may be many rows; they are swept afterwards.
CREATE TABLE webhook_cursors (
  organization_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  -- Whose share of all sending it takes: the workspace's first owner when the row was made.
  owner_id uuid NOT NULL,
  -- There is a delivery for every event up to here that the endpoint wants.
  position bigint NOT NULL,
  -- The newest start that was followed.
  start_version bigint NOT NULL,
  -- When there may be something to send; null when nothing is waiting.
  due_at timestamptz,
  -- Where the attempts went that `failures` counts.
  url text NOT NULL,
  -- How many attempts have failed since the last that did not. An endpoint that never answered begins as if one had, and
  -- so does one that has another URL.
  failures integer NOT NULL,
  -- Who is sending, and until when nobody else may.
  lease_id uuid,
  lease_until timestamptz,
  -- The event that is being sent, noted before it is sent, and the process that sends it. Both outlive a process that dies.
  in_hand uuid,
  holder bigint,
  PRIMARY KEY (organization_id, endpoint_id)
);
CREATE INDEX webhook_cursors_due_at ON webhook_cursors (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_cursors_leased ON webhook_cursors (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE webhook_deliveries (
  organization_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  -- Of a ping: its own.
  event_id uuid NOT NULL,
  -- Null for a ping.
  position bigint,
  event_type text NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
  attempts integer NOT NULL,
  next_attempt_at timestamptz,
  last_attempt_at timestamptz,
  -- Of the last attempt: what was answered, or why nothing was.
  response_status integer,
  response_excerpt text,
  failure text,
  duration_ms bigint,
  created_at timestamptz NOT NULL,
  finished_at timestamptz,
  PRIMARY KEY (organization_id, endpoint_id, event_id),
  CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
  CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (organization_id, endpoint_id, position)
  WHERE status = 'pending';
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (created_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE status <> 'pending';

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_cursors, webhook_deliveries
  TO signalbox_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['webhook_endpoints', 'webhook_cursors', 'webhook_deliveries'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ((SELECT signalbox_is_system()) OR organization_id IN '
      '(SELECT signalbox_organizations((SELECT signalbox_principal()))))',
      tenant_table);
  END LOOP;
END
$$;
