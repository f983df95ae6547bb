-- Controls: which traffic may pass. A table for each kind of rule, and a view of all of them.

CREATE TABLE ip_rules (
  organization_id uuid NOT NULL REFERENCES organizations,
  rule_id uuid NOT NULL,
  -- Null for the whole workspace.
  project_id uuid,
  network cidr NOT NULL,
  effect text NOT NULL CHECK (effect IN ('allow', 'deny')),
  note text,
  expires_at timestamptz,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, rule_id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);

CREATE TABLE geo_rules (
  organization_id uuid NOT NULL REFERENCES organizations,
  rule_id uuid NOT NULL,
  project_id uuid,
  scope text NOT NULL CHECK (scope IN ('country', 'region')),
  -- ISO 3166-1 alpha-2, XK, or the name of a region.
  place text NOT NULL CHECK (scope = 'region' OR place ~ '^[A-Z]{2}$'),
  effect text NOT NULL CHECK (effect IN ('allow', 'deny')),
  note text,
  expires_at timestamptz,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, rule_id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);

CREATE TABLE model_rules (
  organization_id uuid NOT NULL REFERENCES organizations,
  rule_id uuid NOT NULL,
  project_id uuid,
  provider text NOT NULL CHECK (provider ~ '^([a-z0-9_-]{1,50}|\*)$'),
  -- In which * stands for any characters.
  model text NOT NULL,
  effect text NOT NULL CHECK (effect IN ('allow', 'deny')),
  note text,
  expires_at timestamptz,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, rule_id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);

CREATE INDEX ip_rules_project ON ip_rules (organization_id, project_id);
CREATE INDEX geo_rules_project ON geo_rules (organization_id, project_id);
CREATE INDEX model_rules_project ON model_rules (organization_id, project_id);

CREATE VIEW rules WITH (security_invoker = true) AS
SELECT organization_id, rule_id, project_id, 'network' AS kind, network::text AS subject,
  NULL AS provider, effect, note, expires_at, created_by_kind, created_by_id, version, created_at,
  updated_at
FROM ip_rules
UNION ALL
SELECT organization_id, rule_id, project_id, scope, place, NULL, effect, note, expires_at,
  created_by_kind, created_by_id, version, created_at, updated_at
FROM geo_rules
UNION ALL
SELECT organization_id, rule_id, project_id, 'model', model, provider, effect, note, expires_at,
  created_by_kind, created_by_id, version, created_at, updated_at
FROM model_rules;

GRANT SELECT, INSERT, UPDATE, DELETE ON ip_rules, geo_rules, model_rules TO signalbox_app;
GRANT SELECT ON rules TO signalbox_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['ip_rules', 'geo_rules', 'model_rules'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ((SELECT signalbox_is_system()) OR organization_id IN '
      '(SELECT signalbox_organizations((SELECT signalbox_principal()))))',
      tenant_table);
  END LOOP;
END
$$;
