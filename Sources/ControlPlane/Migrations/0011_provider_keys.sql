-- Upstream credentials, one for each project and provider, sealed (ops/sealed-provider-keys.md): no key that opens them
-- is in this table.

CREATE TABLE provider_keys (
  organization_id uuid NOT NULL REFERENCES organizations,
  provider_key_id uuid NOT NULL,
  project_id uuid NOT NULL,
  provider text NOT NULL CHECK (provider ~ '^[a-z0-9_-]{1,50}$'),
  encrypted_key bytea NOT NULL,
  -- Of the key-encryption key that opens it.
  key_version bigint NOT NULL,
  fingerprint text NOT NULL,
  last_four text NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, provider_key_id),
  UNIQUE (organization_id, project_id, provider),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);

-- By which the rotation finds what it has still to do.
CREATE INDEX provider_keys_key_version
  ON provider_keys (key_version, organization_id, provider_key_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON provider_keys TO signalbox_app;

ALTER TABLE provider_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON provider_keys USING ((SELECT signalbox_is_system()) OR organization_id IN
  (SELECT signalbox_organizations((SELECT signalbox_principal()))));
