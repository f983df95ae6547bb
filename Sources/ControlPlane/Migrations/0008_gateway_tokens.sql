-- Tokens of data-plane gateways. They belong to no workspace: their events stand in the platform's own stream, whose id is
-- nobody's, so that row security shows them, like these rows, to the system alone.

CREATE TABLE gateway_tokens (
  token_id uuid PRIMARY KEY,
  name text NOT NULL,
  -- HMAC-SHA-256 under the server's pepper.
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  last_four text NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  created_by_kind text NOT NULL,
  created_by_id uuid,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_tokens TO signalbox_app;

ALTER TABLE gateway_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY platform ON gateway_tokens USING ((SELECT signalbox_is_system()));

-- The policy `append` lets people and tokens append to workspaces that they belong to. What is said of gateways stands in
-- the platform's stream and nowhere else, and nothing else stands there; the stream has no members, so that only a
-- platform admin, or the system, passes that policy.
CREATE POLICY platform_stream ON events AS RESTRICTIVE FOR INSERT WITH CHECK (
  (type LIKE 'gateway\_token.%')
  = (organization_id = '7369676e-616c-626f-782e-73797374656d'));
