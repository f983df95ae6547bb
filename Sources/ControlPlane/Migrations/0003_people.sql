-- People and access: who they are, what they may do, and what their workspace's plan allows.

ALTER TABLE users
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN erased_at timestamptz,
  -- The address as addresses are compared: the rule for that is the program's, not the database's lower().
  ADD COLUMN normalized_email text;

-- What is known of a person is sealed in events under a key of their own: without the key it is gone.
CREATE TABLE data_subjects (
  subject_id uuid PRIMARY KEY,
  -- Keyed hash of the address, by which the same person is found again; gone when they are erased.
  email_hash bytea UNIQUE,
  -- Known once somebody has proved that the address is theirs.
  user_id uuid REFERENCES users,
  -- The subject's key, sealed under the key-encryption key of that version; gone when they are erased.
  sealed_key bytea,
  key_version integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX data_subjects_user_id ON data_subjects (user_id);

-- The defaults are for the rows of before, and go at once.
ALTER TABLE personal_access_tokens
  ADD COLUMN last_four text NOT NULL DEFAULT '',
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN revoked_at timestamptz,
  ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE personal_access_tokens
  ALTER COLUMN last_four DROP DEFAULT,
  ALTER COLUMN version DROP DEFAULT;
CREATE INDEX personal_access_tokens_user_id ON personal_access_tokens (user_id, token_id);

ALTER TABLE memberships ADD COLUMN updated_at timestamptz;
UPDATE memberships SET updated_at = created_at;
ALTER TABLE memberships ALTER COLUMN updated_at SET NOT NULL;

ALTER TABLE organizations
  ADD COLUMN plan_tier text NOT NULL DEFAULT 'free'
    CHECK (plan_tier IN ('free', 'plus', 'business')),
  -- 0: given before there was a catalog.
  ADD COLUMN plan_catalog_version bigint NOT NULL DEFAULT 0,
  ADD COLUMN entitlements jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN onboarding_state text NOT NULL DEFAULT 'workspace_created'
    CHECK (onboarding_state IN (
      'workspace_created', 'project_created', 'provider_connected', 'key_issued',
      'first_request_seen', 'completed', 'dismissed')),
  -- When each step's fact came first.
  ADD COLUMN onboarding_facts jsonb NOT NULL DEFAULT '{}';
ALTER TABLE organizations
  ALTER COLUMN plan_tier DROP DEFAULT,
  ALTER COLUMN plan_catalog_version DROP DEFAULT,
  ALTER COLUMN entitlements DROP DEFAULT,
  ALTER COLUMN onboarding_state DROP DEFAULT,
  ALTER COLUMN onboarding_facts DROP DEFAULT;

CREATE TABLE invitations (
  organization_id uuid NOT NULL REFERENCES organizations,
  invitation_id uuid NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'viewer')),
  subject_id uuid NOT NULL,
  -- Sealed under the subject's key.
  email text NOT NULL,
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  status text NOT NULL CHECK (status IN ('pending', 'accepted', 'declined', 'revoked')),
  expires_at timestamptz NOT NULL,
  invited_by_kind text NOT NULL,
  invited_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, invitation_id)
);
CREATE INDEX invitations_subject_id ON invitations (subject_id);

CREATE TABLE service_tokens (
  organization_id uuid NOT NULL REFERENCES organizations,
  token_id uuid NOT NULL,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('admin', 'developer', 'billing', 'viewer')),
  -- NULL: the whole workspace.
  project_ids uuid[],
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  last_four text NOT NULL,
  former_hash bytea CHECK (octet_length(former_hash) = 32),
  former_until timestamptz,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  -- Who was shown the present secret, when that is not its maker.
  rotated_by_kind text,
  rotated_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, token_id)
);

-- Evidence, not folded state: when a token was seen last.
CREATE TABLE service_token_uses (
  organization_id uuid NOT NULL,
  token_id uuid NOT NULL,
  last_used_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, token_id)
);

-- Catalogs of their own because a token does not say whose workspace it is of (on Citus: reference tables). They hold
-- no secret: a lookup id is the first half of the token's keyed hash.
CREATE TABLE service_token_lookups (
  organization_id uuid NOT NULL,
  token_id uuid NOT NULL,
  lookup_id uuid NOT NULL UNIQUE,
  former_lookup_id uuid UNIQUE,
  PRIMARY KEY (organization_id, token_id)
);
CREATE TABLE invitation_lookups (
  organization_id uuid NOT NULL,
  invitation_id uuid NOT NULL,
  lookup_id uuid NOT NULL UNIQUE,
  PRIMARY KEY (organization_id, invitation_id)
);

GRANT SELECT, INSERT, UPDATE ON data_subjects TO signalbox_app;
GRANT UPDATE (ip, user_agent) ON workspace_audit_events TO signalbox_app;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON invitations, service_tokens, service_token_uses, service_token_lookups, invitation_lookups
  TO signalbox_app;

-- Row security: the second lock behind the application's check. Every statement says for whom it is, by the setting
-- `signalbox.principal`: 'user:<id>', 'service_token:<organization>' or 'system'. Without it nothing is seen, loudly.

CREATE FUNCTION signalbox_principal() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  principal text := current_setting('signalbox.principal', true);
BEGIN
  -- After a local setting has ended it is empty, not missing.
  IF principal IS NULL OR principal = '' THEN
    RAISE EXCEPTION 'signalbox.principal is not set' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN principal;
END
$$;

CREATE FUNCTION signalbox_is_system() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT signalbox_principal() = 'system'
$$;

-- The organizations, and the account, whose rows a principal sees. It looks at memberships as the system, whose policy
-- would otherwise ask this function again.
CREATE FUNCTION signalbox_organizations(principal text) RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF principal LIKE 'user:%' THEN
    RETURN NEXT substr(principal, 6)::uuid;
    PERFORM set_config('signalbox.principal', 'system', true);
    RETURN QUERY SELECT organization_id FROM memberships
      WHERE user_id = substr(principal, 6)::uuid;
    PERFORM set_config('signalbox.principal', principal, true);
  ELSIF principal LIKE 'service\_token:%' THEN
    RETURN NEXT substr(principal, 15)::uuid;
  END IF;
END
$$;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY[
    'events', 'snapshots', 'organizations', 'organization_slugs', 'memberships', 'projects', 'invitations',
    'invitation_lookups', 'service_tokens', 'service_token_lookups', 'service_token_uses', 'workspace_audit_events'
  ] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON %I %s USING ((SELECT signalbox_is_system()) OR organization_id IN '
      '(SELECT signalbox_organizations((SELECT signalbox_principal()))))',
      tenant_table, CASE tenant_table WHEN 'events' THEN 'FOR SELECT' ELSE '' END);
  END LOOP;
END
$$;

-- Commands of many principals share a transaction of the system's, so each event vouches for its own actor: a member,
-- one of the organization's tokens, the account's owner, or the platform. The rows of members stand before the events do,
-- and go after them.
CREATE POLICY append ON events FOR INSERT WITH CHECK (
  (SELECT signalbox_is_system()) AND (
    actor_kind NOT IN ('user', 'token')
    OR organization_id = actor_id
    OR EXISTS (
      SELECT FROM memberships AS m
      WHERE m.organization_id = events.organization_id AND m.user_id = events.actor_id)
    OR EXISTS (
      SELECT FROM service_tokens AS t
      WHERE t.organization_id = events.organization_id AND t.token_id = events.actor_id)
    -- By whoever holds the token that was sent, and is no member.
    OR type = 'invitation.declined'
    OR EXISTS (SELECT FROM users AS u WHERE u.user_id = events.actor_id AND u.is_platform_admin)));

-- People are of no organization. They are seen by themselves and by those who share an organization with them: the rows
-- of memberships that the principal sees say who that is.

CREATE FUNCTION signalbox_user() RETURNS uuid LANGUAGE plpgsql STABLE AS $$
DECLARE
  principal text := signalbox_principal();
BEGIN
  RETURN CASE WHEN principal LIKE 'user:%' THEN substr(principal, 6)::uuid END;
END
$$;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY person ON users USING (
  (SELECT signalbox_is_system()) OR user_id = (SELECT signalbox_user())
  OR EXISTS (SELECT FROM memberships AS m WHERE m.user_id = users.user_id));

ALTER TABLE personal_access_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE personal_access_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY person ON personal_access_tokens USING (
  (SELECT signalbox_is_system()) OR user_id = (SELECT signalbox_user()));

-- The keys of those whom the principal's organizations have invited open the addresses of the invitations.
ALTER TABLE data_subjects ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_subjects FORCE ROW LEVEL SECURITY;
CREATE POLICY person ON data_subjects USING (
  (SELECT signalbox_is_system()) OR user_id = (SELECT signalbox_user())
  OR EXISTS (SELECT FROM invitations AS i WHERE i.subject_id = data_subjects.subject_id));

-- Stored replies are read by the writer alone.
ALTER TABLE idempotency_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_records FORCE ROW LEVEL SECURITY;
CREATE POLICY platform ON idempotency_records USING ((SELECT signalbox_is_system()));
