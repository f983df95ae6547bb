-- What gateways are told, and what they say that they run.

CREATE TABLE configuration_changes (
  organization_id uuid NOT NULL,
  -- Of the last event of the command.
  position bigint NOT NULL,
  -- A JSON Merge Patch (RFC 7396), sent as it is.
  patch text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, position)
);

CREATE INDEX configuration_changes_position ON configuration_changes (position);
CREATE INDEX configuration_changes_recorded_at ON configuration_changes USING brin (recorded_at);

-- Behind this position every change is still there.
CREATE TABLE configuration_changes_floor (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  position bigint NOT NULL
);

-- What was appended before there was a feed is in no change.
INSERT INTO configuration_changes_floor (position) SELECT position FROM event_log_head;

CREATE TABLE gateways (
  token_id uuid NOT NULL REFERENCES gateway_tokens,
  name text NOT NULL,
  position bigint NOT NULL,
  refused_position bigint,
  refused_reason text,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (token_id, name)
);

GRANT SELECT, INSERT, DELETE ON configuration_changes TO signalbox_app;
GRANT SELECT, UPDATE ON configuration_changes_floor TO signalbox_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateways TO signalbox_app;

DO $$
DECLARE
  platform_table text;
BEGIN
  FOREACH platform_table IN ARRAY ARRAY['configuration_changes', 'configuration_changes_floor', 'gateways'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', platform_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', platform_table);
    EXECUTE format(
      'CREATE POLICY platform ON %I USING ((SELECT signalbox_is_system()))', platform_table);
  END LOOP;
END
$$;
