-- API keys of projects: hashes that data planes compare with, never the keys themselves.

CREATE TABLE api_keys (
  organization_id uuid NOT NULL REFERENCES organizations,
  key_id uuid NOT NULL,
  project_id uuid NOT NULL,
  name text NOT NULL,
  prefix text NOT NULL CHECK (prefix IN ('pk_live_', 'pk_test_')),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  last_four text NOT NULL,
  -- The key whose place it took, and the one that took its place.
  rotated_from uuid,
  rotated_to uuid,
  -- Null: it does not expire.
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_reason text,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, key_id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects,
  FOREIGN KEY (organization_id, rotated_from) REFERENCES api_keys,
  FOREIGN KEY (organization_id, rotated_to) REFERENCES api_keys
);
CREATE INDEX api_keys_project ON api_keys (organization_id, project_id, key_id);

-- A key that somebody found does not say whose it is (on Citus: a reference table). It holds no secret: a lookup id is
-- the first half of the keyed hash.
CREATE TABLE api_key_lookups (
  organization_id uuid NOT NULL,
  key_id uuid NOT NULL,
  lookup_id uuid NOT NULL UNIQUE,
  PRIMARY KEY (organization_id, key_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, api_key_lookups TO signalbox_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['api_keys', 'api_key_lookups'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ((SELECT signalbox_is_system()) OR organization_id IN '
      '(SELECT signalbox_organizations((SELECT signalbox_principal()))))',
      tenant_table);
  END LOOP;
END
$$;
