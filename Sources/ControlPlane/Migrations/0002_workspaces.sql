-- What people read: every row is a rendering of a workspace's folded state, except for users and their tokens.

-- Secrets that all replicas share, for installations that give none from outside. Only the owner of the schema reads and
-- writes them, before a process takes the application's role, which has no grant here.
CREATE TABLE server_secrets (
  name text PRIMARY KEY,
  value bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
  user_id uuid PRIMARY KEY,
  issuer text NOT NULL,
  subject text NOT NULL,
  email text,
  name text,
  is_platform_admin boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (issuer, subject)
);

CREATE TABLE personal_access_tokens (
  token_id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users,
  name text NOT NULL,
  -- HMAC-SHA-256 under the server's pepper.
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE organizations (
  organization_id uuid PRIMARY KEY,
  name text NOT NULL,
  slug text NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  archived_at timestamptz
);

-- A catalog of its own because the slug is unique among all organizations (on Citus: a reference table).
CREATE TABLE organization_slugs (
  organization_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE
);

CREATE TABLE memberships (
  organization_id uuid NOT NULL REFERENCES organizations,
  user_id uuid NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'viewer')),
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_user_id ON memberships (user_id, organization_id);

CREATE TABLE projects (
  organization_id uuid NOT NULL REFERENCES organizations,
  project_id uuid NOT NULL,
  name text NOT NULL,
  environment text NOT NULL CHECK (environment IN ('live', 'test')),
  rate_limit bigint,
  abuse_threshold bigint,
  max_tokens bigint,
  loop_sensitivity text NOT NULL CHECK (loop_sensitivity IN ('off', 'low', 'medium', 'high')),
  panic_mode boolean NOT NULL,
  panic_mode_reason text,
  panic_mode_since timestamptz,
  panic_mode_by_kind text,
  panic_mode_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  archived_at timestamptz,
  PRIMARY KEY (organization_id, project_id)
) WITH (fillfactor = 50);

-- One row per event. Address and user agent are evidence, not folded state: personal data stays out of the log.
CREATE TABLE workspace_audit_events (
  organization_id uuid NOT NULL,
  position bigint NOT NULL,
  version bigint NOT NULL,
  event_id uuid NOT NULL,
  action text NOT NULL,
  actor_kind text NOT NULL,
  actor_id uuid,
  target_kind text NOT NULL,
  target_id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  request_id text,
  ip inet,
  user_agent text,
  before jsonb,
  after jsonb,
  PRIMARY KEY (organization_id, position)
);
CREATE INDEX workspace_audit_events_target
  ON workspace_audit_events (organization_id, target_id, position);

GRANT SELECT, INSERT, UPDATE ON users TO signalbox_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON personal_access_tokens TO signalbox_app;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON organizations, organization_slugs, memberships, projects TO signalbox_app;
GRANT SELECT, INSERT ON workspace_audit_events TO signalbox_app;
