CREATE FUNCTION public.add_request_log_partition(day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    DECLARE
      partition text := 'request_logs_' || to_char(day, 'YYYYMMDD');
    BEGIN
      -- Replicas make the same partitions at the same time.
      PERFORM pg_advisory_xact_lock(hashtext('request_logs'), 0);
      IF to_regclass(partition) IS NULL THEN
        -- Attaching keeps nobody from reading or writing meanwhile; making a partition would.
        EXECUTE format('CREATE TABLE %I (LIKE request_logs INCLUDING ALL)', partition);
        EXECUTE format(
          'ALTER TABLE request_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition,
          to_char(day, 'YYYY-MM-DD"T00:00:00Z"'), to_char(day + 1, 'YYYY-MM-DD"T00:00:00Z"'));
      END IF;
    END
    $$;

CREATE FUNCTION public.drop_request_log_partitions(before date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $$
    DECLARE
      partition text;
      dropped integer := 0;
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtext('request_logs'), 0);
      FOR partition IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'request_logs'::regclass
          AND c.relname < 'request_logs_' || to_char(before, 'YYYYMMDD')
        ORDER BY 1
      LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
      END LOOP;
      RETURN dropped;
    END
    $$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION public.signalbox_is_system() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT signalbox_principal() = 'system'
$$;

CREATE FUNCTION public.signalbox_organizations(principal text) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    AS $$
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

CREATE FUNCTION public.signalbox_principal() RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
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

CREATE FUNCTION public.signalbox_user() RETURNS uuid
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
  principal text := signalbox_principal();
BEGIN
  RETURN CASE WHEN principal LIKE 'user:%' THEN substr(principal, 6)::uuid END;
END
$$;

CREATE TABLE public.api_key_lookups (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    lookup_id uuid NOT NULL
);

ALTER TABLE ONLY public.api_key_lookups FORCE ROW LEVEL SECURITY;

CREATE TABLE public.api_keys (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    hash bytea NOT NULL,
    last_four text NOT NULL,
    rotated_from uuid,
    rotated_to uuid,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_reason text,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT api_keys_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT api_keys_prefix_check CHECK ((prefix = ANY (ARRAY['pk_live_'::text, 'pk_test_'::text])))
);

ALTER TABLE ONLY public.api_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE public.configuration_changes (
    organization_id uuid NOT NULL,
    "position" bigint NOT NULL,
    patch text NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.configuration_changes FORCE ROW LEVEL SECURITY;

CREATE TABLE public.configuration_changes_floor (
    singleton boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT configuration_changes_floor_singleton_check CHECK (singleton)
);

ALTER TABLE ONLY public.configuration_changes_floor FORCE ROW LEVEL SECURITY;

CREATE TABLE public.credit_purchases (
    organization_id uuid NOT NULL,
    purchase_id uuid NOT NULL,
    provider text NOT NULL,
    payment_id text NOT NULL,
    package text NOT NULL,
    log_units bigint NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    refunded_amount bigint NOT NULL,
    standing_units bigint NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    completed_at timestamp with time zone,
    CONSTRAINT credit_purchases_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text, 'partially_refunded'::text, 'refunded'::text, 'disputed'::text, 'charged_back'::text])))
);

ALTER TABLE ONLY public.credit_purchases FORCE ROW LEVEL SECURITY;

CREATE TABLE public.data_subjects (
    subject_id uuid NOT NULL,
    email_hash bytea,
    user_id uuid,
    sealed_key bytea,
    key_version integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.data_subjects FORCE ROW LEVEL SECURITY;

CREATE TABLE public.event_log_head (
    singleton boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    sole_reader uuid,
    revocation uuid,
    CONSTRAINT event_log_head_check CHECK (((revocation IS NULL) OR (sole_reader IS NOT NULL))),
    CONSTRAINT event_log_head_singleton_check CHECK (singleton)
)
WITH (fillfactor='10');

CREATE TABLE public.events (
    organization_id uuid NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    schema_version integer NOT NULL,
    payload jsonb NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    request_id text,
    causation_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT events_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT events_position_check CHECK (("position" > 0)),
    CONSTRAINT events_previous_hash_check CHECK ((octet_length(previous_hash) = 32)),
    CONSTRAINT events_schema_version_check CHECK ((schema_version > 0)),
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY public.events FORCE ROW LEVEL SECURITY;

CREATE TABLE public.gateway_tokens (
    token_id uuid NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    last_four text NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT gateway_tokens_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE ONLY public.gateway_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE public.gateways (
    token_id uuid NOT NULL,
    name text NOT NULL,
    "position" bigint NOT NULL,
    refused_position bigint,
    refused_reason text,
    seen_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.gateways FORCE ROW LEVEL SECURITY;

CREATE TABLE public.geo_rules (
    organization_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    project_id uuid,
    scope text NOT NULL,
    place text NOT NULL,
    effect text NOT NULL,
    note text,
    expires_at timestamp with time zone,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT geo_rules_check CHECK (((scope = 'region'::text) OR (place ~ '^[A-Z]{2}$'::text))),
    CONSTRAINT geo_rules_effect_check CHECK ((effect = ANY (ARRAY['allow'::text, 'deny'::text]))),
    CONSTRAINT geo_rules_scope_check CHECK ((scope = ANY (ARRAY['country'::text, 'region'::text])))
);

ALTER TABLE ONLY public.geo_rules FORCE ROW LEVEL SECURITY;

CREATE TABLE public.idempotency_records (
    principal_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    version bigint,
    location text,
    "position" bigint,
    body bytea NOT NULL,
    sealed_secret bytea,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.idempotency_records FORCE ROW LEVEL SECURITY;

CREATE TABLE public.invitation_lookups (
    organization_id uuid NOT NULL,
    invitation_id uuid NOT NULL,
    lookup_id uuid NOT NULL
);

ALTER TABLE ONLY public.invitation_lookups FORCE ROW LEVEL SECURITY;

CREATE TABLE public.invitations (
    organization_id uuid NOT NULL,
    invitation_id uuid NOT NULL,
    role text NOT NULL,
    subject_id uuid NOT NULL,
    email text NOT NULL,
    token_hash bytea NOT NULL,
    status text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    invited_by_kind text NOT NULL,
    invited_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'developer'::text, 'billing'::text, 'viewer'::text]))),
    CONSTRAINT invitations_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'accepted'::text, 'declined'::text, 'revoked'::text]))),
    CONSTRAINT invitations_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

ALTER TABLE ONLY public.invitations FORCE ROW LEVEL SECURITY;

CREATE TABLE public.ip_rules (
    organization_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    project_id uuid,
    network cidr NOT NULL,
    effect text NOT NULL,
    note text,
    expires_at timestamp with time zone,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ip_rules_effect_check CHECK ((effect = ANY (ARRAY['allow'::text, 'deny'::text])))
);

ALTER TABLE ONLY public.ip_rules FORCE ROW LEVEL SECURITY;

CREATE TABLE public.job_attempts (
    kind text NOT NULL,
    item text NOT NULL,
    item_id uuid,
    set_aside_id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid,
    attempts integer DEFAULT 0 NOT NULL,
    holder bigint,
    error text,
    first_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    last_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    set_aside_at timestamp with time zone,
    CONSTRAINT job_attempts_item_check CHECK (((length(item) >= 1) AND (length(item) <= 300)))
);

ALTER TABLE ONLY public.job_attempts FORCE ROW LEVEL SECURITY;

CREATE TABLE public.memberships (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT memberships_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'developer'::text, 'billing'::text, 'viewer'::text])))
);

ALTER TABLE ONLY public.memberships FORCE ROW LEVEL SECURITY;

CREATE TABLE public.model_rules (
    organization_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    project_id uuid,
    provider text NOT NULL,
    model text NOT NULL,
    effect text NOT NULL,
    note text,
    expires_at timestamp with time zone,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT model_rules_effect_check CHECK ((effect = ANY (ARRAY['allow'::text, 'deny'::text]))),
    CONSTRAINT model_rules_provider_check CHECK ((provider ~ '^([a-z0-9_-]{1,50}|\*)$'::text))
);

ALTER TABLE ONLY public.model_rules FORCE ROW LEVEL SECURITY;

CREATE TABLE public.organization_slugs (
    organization_id uuid NOT NULL,
    slug text NOT NULL
);

ALTER TABLE ONLY public.organization_slugs FORCE ROW LEVEL SECURITY;

CREATE TABLE public.organizations (
    organization_id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone,
    plan_tier text NOT NULL,
    plan_catalog_version bigint NOT NULL,
    entitlements jsonb NOT NULL,
    onboarding_state text NOT NULL,
    onboarding_facts jsonb NOT NULL,
    credit_logs_balance bigint DEFAULT 0 NOT NULL,
    usage_period text,
    included_requests_used bigint DEFAULT 0 NOT NULL,
    stripe_customer_id text,
    stripe_subscription_id text,
    CONSTRAINT organizations_onboarding_state_check CHECK ((onboarding_state = ANY (ARRAY['workspace_created'::text, 'project_created'::text, 'provider_connected'::text, 'key_issued'::text, 'first_request_seen'::text, 'completed'::text, 'dismissed'::text]))),
    CONSTRAINT organizations_plan_tier_check CHECK ((plan_tier = ANY (ARRAY['free'::text, 'plus'::text, 'business'::text])))
);

ALTER TABLE ONLY public.organizations FORCE ROW LEVEL SECURITY;

CREATE TABLE public.personal_access_tokens (
    token_id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_four text NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    version bigint NOT NULL,
    CONSTRAINT personal_access_tokens_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE ONLY public.personal_access_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE public.projects (
    organization_id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    environment text NOT NULL,
    rate_limit bigint,
    abuse_threshold bigint,
    max_tokens bigint,
    loop_sensitivity text NOT NULL,
    panic_mode boolean NOT NULL,
    panic_mode_reason text,
    panic_mode_since timestamp with time zone,
    panic_mode_by_kind text,
    panic_mode_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone,
    requests_per_month bigint,
    cost_per_month bigint,
    panic_mode_until timestamp with time zone,
    CONSTRAINT projects_cost_per_month_check CHECK ((cost_per_month > 0)),
    CONSTRAINT projects_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'test'::text]))),
    CONSTRAINT projects_loop_sensitivity_check CHECK ((loop_sensitivity = ANY (ARRAY['off'::text, 'low'::text, 'medium'::text, 'high'::text]))),
    CONSTRAINT projects_requests_per_month_check CHECK ((requests_per_month > 0))
)
WITH (fillfactor='50');

ALTER TABLE ONLY public.projects FORCE ROW LEVEL SECURITY;

CREATE TABLE public.provider_keys (
    organization_id uuid NOT NULL,
    provider_key_id uuid NOT NULL,
    project_id uuid NOT NULL,
    provider text NOT NULL,
    encrypted_key bytea NOT NULL,
    key_version bigint NOT NULL,
    fingerprint text NOT NULL,
    last_four text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT provider_keys_provider_check CHECK ((provider ~ '^[a-z0-9_-]{1,50}$'::text))
);

ALTER TABLE ONLY public.provider_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE public.request_logs (
    organization_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    log_id uuid NOT NULL,
    project_id uuid NOT NULL,
    key_id uuid,
    decision text NOT NULL,
    reason text,
    rule_id uuid,
    route text,
    provider text NOT NULL,
    model text NOT NULL,
    country text,
    region text DEFAULT 'unknown'::text NOT NULL,
    client_address inet,
    tokens_requested bigint,
    tokens_in bigint,
    tokens_out bigint,
    cost_micro_usd bigint,
    status integer,
    latency_ms bigint,
    configuration_position bigint NOT NULL,
    CONSTRAINT request_logs_decision_check CHECK ((decision = ANY (ARRAY['allow'::text, 'block'::text])))
)
PARTITION BY RANGE (occurred_at);

ALTER TABLE ONLY public.request_logs FORCE ROW LEVEL SECURITY;

CREATE VIEW public.rules WITH (security_invoker='true') AS
 SELECT ip_rules.organization_id,
    ip_rules.rule_id,
    ip_rules.project_id,
    'network'::text AS kind,
    (ip_rules.network)::text AS subject,
    NULL::text AS provider,
    ip_rules.effect,
    ip_rules.note,
    ip_rules.expires_at,
    ip_rules.created_by_kind,
    ip_rules.created_by_id,
    ip_rules.version,
    ip_rules.created_at,
    ip_rules.updated_at
   FROM public.ip_rules
UNION ALL
 SELECT geo_rules.organization_id,
    geo_rules.rule_id,
    geo_rules.project_id,
    geo_rules.scope AS kind,
    geo_rules.place AS subject,
    NULL::text AS provider,
    geo_rules.effect,
    geo_rules.note,
    geo_rules.expires_at,
    geo_rules.created_by_kind,
    geo_rules.created_by_id,
    geo_rules.version,
    geo_rules.created_at,
    geo_rules.updated_at
   FROM public.geo_rules
UNION ALL
 SELECT model_rules.organization_id,
    model_rules.rule_id,
    model_rules.project_id,
    'model'::text AS kind,
    model_rules.model AS subject,
    model_rules.provider,
    model_rules.effect,
    model_rules.note,
    model_rules.expires_at,
    model_rules.created_by_kind,
    model_rules.created_by_id,
    model_rules.version,
    model_rules.created_at,
    model_rules.updated_at
   FROM public.model_rules;

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.server_secrets (
    name text NOT NULL,
    value bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.service_token_lookups (
    organization_id uuid NOT NULL,
    token_id uuid NOT NULL,
    lookup_id uuid NOT NULL,
    former_lookup_id uuid
);

ALTER TABLE ONLY public.service_token_lookups FORCE ROW LEVEL SECURITY;

CREATE TABLE public.service_token_uses (
    organization_id uuid NOT NULL,
    token_id uuid NOT NULL,
    last_used_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.service_token_uses FORCE ROW LEVEL SECURITY;

CREATE TABLE public.service_tokens (
    organization_id uuid NOT NULL,
    token_id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    project_ids uuid[],
    hash bytea NOT NULL,
    last_four text NOT NULL,
    former_hash bytea,
    former_until timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    rotated_by_kind text,
    rotated_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT service_tokens_former_hash_check CHECK ((octet_length(former_hash) = 32)),
    CONSTRAINT service_tokens_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT service_tokens_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'developer'::text, 'billing'::text, 'viewer'::text])))
);

ALTER TABLE ONLY public.service_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE public.snapshots (
    organization_id uuid NOT NULL,
    version bigint NOT NULL,
    fold_version integer NOT NULL,
    hash bytea NOT NULL,
    state bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.snapshots FORCE ROW LEVEL SECURITY;

CREATE TABLE public.stripe_events (
    event_id text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    type text NOT NULL,
    api_version text,
    created_at timestamp with time zone NOT NULL,
    livemode boolean NOT NULL,
    subject text,
    organization_id uuid,
    status text DEFAULT 'received'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    reason text,
    retry_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    payload jsonb NOT NULL,
    CONSTRAINT stripe_events_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 255))),
    CONSTRAINT stripe_events_status_check CHECK ((status = ANY (ARRAY['received'::text, 'applied'::text, 'ignored'::text, 'parked'::text, 'failed'::text])))
);

ALTER TABLE ONLY public.stripe_events FORCE ROW LEVEL SECURITY;

CREATE TABLE public.usage_counters (
    organization_id uuid NOT NULL,
    project_id uuid NOT NULL,
    period text NOT NULL,
    included bigint NOT NULL,
    credits bigint NOT NULL,
    refused bigint NOT NULL,
    cost_micro_usd bigint NOT NULL,
    version bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.usage_counters FORCE ROW LEVEL SECURITY;

CREATE TABLE public.usage_days (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    project_id uuid NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    decision text NOT NULL,
    requests bigint NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    cost_micro_usd bigint NOT NULL,
    CONSTRAINT usage_days_decision_check CHECK ((decision = ANY (ARRAY['allow'::text, 'block'::text])))
);

ALTER TABLE ONLY public.usage_days FORCE ROW LEVEL SECURITY;

CREATE TABLE public.usage_reports (
    organization_id uuid NOT NULL,
    report_id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid NOT NULL,
    requests bigint NOT NULL,
    cost_micro_usd bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.usage_reports FORCE ROW LEVEL SECURITY;

CREATE TABLE public.users (
    user_id uuid NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    email text,
    name text,
    is_platform_admin boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    erased_at timestamp with time zone,
    normalized_email text,
    identity_hash bytea
);

ALTER TABLE ONLY public.users FORCE ROW LEVEL SECURITY;

CREATE TABLE public.webhook_cursors (
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    "position" bigint NOT NULL,
    start_version bigint NOT NULL,
    due_at timestamp with time zone,
    url text NOT NULL,
    failures integer NOT NULL,
    lease_id uuid,
    lease_until timestamp with time zone,
    in_hand uuid,
    holder bigint
);

ALTER TABLE ONLY public.webhook_cursors FORCE ROW LEVEL SECURITY;

CREATE TABLE public.webhook_deliveries (
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    "position" bigint,
    event_type text NOT NULL,
    status text NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamp with time zone,
    last_attempt_at timestamp with time zone,
    response_status integer,
    response_excerpt text,
    failure text,
    duration_ms bigint,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT webhook_deliveries_check CHECK (((status = 'pending'::text) = (next_attempt_at IS NOT NULL))),
    CONSTRAINT webhook_deliveries_check1 CHECK (((status = 'pending'::text) = (finished_at IS NULL))),
    CONSTRAINT webhook_deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text])))
);

ALTER TABLE ONLY public.webhook_deliveries FORCE ROW LEVEL SECURITY;

CREATE TABLE public.webhook_endpoints (
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    description text,
    event_types text[] NOT NULL,
    secret bytea NOT NULL,
    secret_key_version bigint NOT NULL,
    former_secret bytea,
    former_secret_key_version bigint,
    former_secret_until timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_reason text,
    start_version bigint NOT NULL,
    start_after bigint,
    created_by_kind text NOT NULL,
    created_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT webhook_endpoints_check CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT webhook_endpoints_disabled_reason_check CHECK ((disabled_reason = ANY (ARRAY['operator'::text, 'gone'::text])))
);

ALTER TABLE ONLY public.webhook_endpoints FORCE ROW LEVEL SECURITY;

CREATE TABLE public.workspace_audit_events (
    organization_id uuid NOT NULL,
    "position" bigint NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    action text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    target_kind text NOT NULL,
    target_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    request_id text,
    ip inet,
    user_agent text,
    before jsonb,
    after jsonb
);

ALTER TABLE ONLY public.workspace_audit_events FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY public.api_key_lookups
    ADD CONSTRAINT api_key_lookups_lookup_id_key UNIQUE (lookup_id);

ALTER TABLE ONLY public.api_key_lookups
    ADD CONSTRAINT api_key_lookups_pkey PRIMARY KEY (organization_id, key_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (organization_id, key_id);

ALTER TABLE ONLY public.configuration_changes_floor
    ADD CONSTRAINT configuration_changes_floor_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.configuration_changes
    ADD CONSTRAINT configuration_changes_pkey PRIMARY KEY (organization_id, "position");

ALTER TABLE ONLY public.credit_purchases
    ADD CONSTRAINT credit_purchases_organization_id_payment_id_key UNIQUE (organization_id, payment_id);

ALTER TABLE ONLY public.credit_purchases
    ADD CONSTRAINT credit_purchases_pkey PRIMARY KEY (organization_id, purchase_id);

ALTER TABLE ONLY public.data_subjects
    ADD CONSTRAINT data_subjects_email_hash_key UNIQUE (email_hash);

ALTER TABLE ONLY public.data_subjects
    ADD CONSTRAINT data_subjects_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY public.event_log_head
    ADD CONSTRAINT event_log_head_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (organization_id, version);

ALTER TABLE ONLY public.gateway_tokens
    ADD CONSTRAINT gateway_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.gateway_tokens
    ADD CONSTRAINT gateway_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.gateways
    ADD CONSTRAINT gateways_pkey PRIMARY KEY (token_id, name);

ALTER TABLE ONLY public.geo_rules
    ADD CONSTRAINT geo_rules_pkey PRIMARY KEY (organization_id, rule_id);

ALTER TABLE ONLY public.idempotency_records
    ADD CONSTRAINT idempotency_records_pkey PRIMARY KEY (principal_id, key);

ALTER TABLE ONLY public.invitation_lookups
    ADD CONSTRAINT invitation_lookups_lookup_id_key UNIQUE (lookup_id);

ALTER TABLE ONLY public.invitation_lookups
    ADD CONSTRAINT invitation_lookups_pkey PRIMARY KEY (organization_id, invitation_id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_pkey PRIMARY KEY (organization_id, invitation_id);

ALTER TABLE ONLY public.ip_rules
    ADD CONSTRAINT ip_rules_pkey PRIMARY KEY (organization_id, rule_id);

ALTER TABLE ONLY public.job_attempts
    ADD CONSTRAINT job_attempts_pkey PRIMARY KEY (kind, item);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (organization_id, user_id);

ALTER TABLE ONLY public.model_rules
    ADD CONSTRAINT model_rules_pkey PRIMARY KEY (organization_id, rule_id);

ALTER TABLE ONLY public.organization_slugs
    ADD CONSTRAINT organization_slugs_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY public.organization_slugs
    ADD CONSTRAINT organization_slugs_slug_key UNIQUE (slug);

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (organization_id, project_id);

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_organization_id_project_id_provider_key UNIQUE (organization_id, project_id, provider);

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_pkey PRIMARY KEY (organization_id, provider_key_id);

ALTER TABLE ONLY public.request_logs
    ADD CONSTRAINT request_logs_pkey PRIMARY KEY (organization_id, occurred_at, log_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.server_secrets
    ADD CONSTRAINT server_secrets_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.service_token_lookups
    ADD CONSTRAINT service_token_lookups_former_lookup_id_key UNIQUE (former_lookup_id);

ALTER TABLE ONLY public.service_token_lookups
    ADD CONSTRAINT service_token_lookups_lookup_id_key UNIQUE (lookup_id);

ALTER TABLE ONLY public.service_token_lookups
    ADD CONSTRAINT service_token_lookups_pkey PRIMARY KEY (organization_id, token_id);

ALTER TABLE ONLY public.service_token_uses
    ADD CONSTRAINT service_token_uses_pkey PRIMARY KEY (organization_id, token_id);

ALTER TABLE ONLY public.service_tokens
    ADD CONSTRAINT service_tokens_pkey PRIMARY KEY (organization_id, token_id);

ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (organization_id, version, fold_version);

ALTER TABLE ONLY public.stripe_events
    ADD CONSTRAINT stripe_events_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (organization_id, project_id, period);

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT usage_days_pkey PRIMARY KEY (organization_id, day, project_id, provider, model, decision);

ALTER TABLE ONLY public.usage_reports
    ADD CONSTRAINT usage_reports_pkey PRIMARY KEY (organization_id, report_id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_issuer_subject_key UNIQUE (issuer, subject);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.webhook_cursors
    ADD CONSTRAINT webhook_cursors_pkey PRIMARY KEY (organization_id, endpoint_id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (organization_id, endpoint_id, event_id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (organization_id, endpoint_id);

ALTER TABLE ONLY public.workspace_audit_events
    ADD CONSTRAINT workspace_audit_events_pkey PRIMARY KEY (organization_id, "position");

CREATE INDEX api_keys_project ON public.api_keys USING btree (organization_id, project_id, key_id);

CREATE INDEX configuration_changes_position ON public.configuration_changes USING btree ("position");

CREATE INDEX configuration_changes_recorded_at ON public.configuration_changes USING brin (recorded_at);

CREATE INDEX credit_purchases_payment ON public.credit_purchases USING btree (payment_id);

CREATE INDEX data_subjects_user_id ON public.data_subjects USING btree (user_id);

CREATE INDEX events_credits ON public.events USING btree (organization_id, version) WHERE (type ~~ 'credits.%'::text);

CREATE INDEX events_organization_position ON public.events USING btree (organization_id, "position");

CREATE UNIQUE INDEX events_position ON public.events USING btree ("position");

CREATE INDEX geo_rules_project ON public.geo_rules USING btree (organization_id, project_id);

CREATE INDEX idempotency_records_created_at ON public.idempotency_records USING btree (created_at);

CREATE INDEX invitations_subject_id ON public.invitations USING btree (subject_id);

CREATE INDEX ip_rules_project ON public.ip_rules USING btree (organization_id, project_id);

CREATE INDEX job_attempts_set_aside ON public.job_attempts USING btree (set_aside_at DESC, set_aside_id DESC) WHERE (set_aside_at IS NOT NULL);

CREATE UNIQUE INDEX job_attempts_set_aside_id ON public.job_attempts USING btree (set_aside_id);

CREATE INDEX memberships_user_id ON public.memberships USING btree (user_id, organization_id);

CREATE INDEX model_rules_project ON public.model_rules USING btree (organization_id, project_id);

CREATE INDEX organizations_stripe_customer ON public.organizations USING btree (stripe_customer_id) WHERE (stripe_customer_id IS NOT NULL);

CREATE INDEX personal_access_tokens_user_id ON public.personal_access_tokens USING btree (user_id, token_id);

CREATE INDEX projects_panic_mode_until ON public.projects USING btree (panic_mode_until) WHERE (panic_mode_until IS NOT NULL);

CREATE INDEX projects_project_id ON public.projects USING btree (project_id);

CREATE INDEX provider_keys_key_version ON public.provider_keys USING btree (key_version, organization_id, provider_key_id);

CREATE INDEX request_logs_blocked ON ONLY public.request_logs USING btree (organization_id, occurred_at, log_id) WHERE (decision = 'block'::text);

CREATE INDEX stripe_events_finished ON public.stripe_events USING btree (updated_at) WHERE (status = ANY (ARRAY['applied'::text, 'ignored'::text]));

CREATE INDEX stripe_events_open ON public.stripe_events USING btree (status, received_at DESC, event_id DESC) WHERE (status = ANY (ARRAY['received'::text, 'parked'::text, 'failed'::text]));

CREATE INDEX stripe_events_received ON public.stripe_events USING btree (received_at DESC, event_id DESC);

CREATE INDEX stripe_events_retry ON public.stripe_events USING btree (retry_at) WHERE (retry_at IS NOT NULL);

CREATE INDEX stripe_events_subject ON public.stripe_events USING btree (subject) WHERE (subject IS NOT NULL);

CREATE INDEX usage_reports_recorded ON public.usage_reports USING btree (recorded_at);

CREATE INDEX users_erased_identity ON public.users USING btree (identity_hash) WHERE (erased_at IS NOT NULL);

CREATE INDEX webhook_cursors_due_at ON public.webhook_cursors USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX webhook_cursors_leased ON public.webhook_cursors USING btree (lease_until) WHERE (lease_until IS NOT NULL);

CREATE INDEX webhook_deliveries_finished ON public.webhook_deliveries USING btree (finished_at) WHERE (status <> 'pending'::text);

CREATE INDEX webhook_deliveries_pending ON public.webhook_deliveries USING btree (organization_id, endpoint_id, "position") WHERE (status = 'pending'::text);

CREATE INDEX webhook_deliveries_waiting ON public.webhook_deliveries USING btree (created_at) WHERE (status = 'pending'::text);

CREATE INDEX workspace_audit_events_target ON public.workspace_audit_events USING btree (organization_id, target_id, "position");

CREATE TRIGGER events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_organization_id_rotated_from_fkey FOREIGN KEY (organization_id, rotated_from) REFERENCES public.api_keys(organization_id, key_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_organization_id_rotated_to_fkey FOREIGN KEY (organization_id, rotated_to) REFERENCES public.api_keys(organization_id, key_id);

ALTER TABLE ONLY public.credit_purchases
    ADD CONSTRAINT credit_purchases_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.data_subjects
    ADD CONSTRAINT data_subjects_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(user_id);

ALTER TABLE ONLY public.gateways
    ADD CONSTRAINT gateways_token_id_fkey FOREIGN KEY (token_id) REFERENCES public.gateway_tokens(token_id);

ALTER TABLE ONLY public.geo_rules
    ADD CONSTRAINT geo_rules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.geo_rules
    ADD CONSTRAINT geo_rules_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.ip_rules
    ADD CONSTRAINT ip_rules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.ip_rules
    ADD CONSTRAINT ip_rules_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.model_rules
    ADD CONSTRAINT model_rules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.model_rules
    ADD CONSTRAINT model_rules_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(user_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.service_tokens
    ADD CONSTRAINT service_tokens_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.usage_counters
    ADD CONSTRAINT usage_counters_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.usage_counters
    ADD CONSTRAINT usage_counters_organization_id_project_id_fkey FOREIGN KEY (organization_id, project_id) REFERENCES public.projects(organization_id, project_id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE public.api_key_lookups ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY append ON public.events FOR INSERT WITH CHECK ((( SELECT public.signalbox_is_system() AS signalbox_is_system) AND ((actor_kind <> ALL (ARRAY['user'::text, 'token'::text])) OR (organization_id = actor_id) OR (EXISTS ( SELECT
   FROM public.memberships m
  WHERE ((m.organization_id = events.organization_id) AND (m.user_id = events.actor_id)))) OR (EXISTS ( SELECT
   FROM public.service_tokens t
  WHERE ((t.organization_id = events.organization_id) AND (t.token_id = events.actor_id)))) OR (type = 'invitation.declined'::text) OR (EXISTS ( SELECT
   FROM public.users u
  WHERE ((u.user_id = events.actor_id) AND u.is_platform_admin))))));

ALTER TABLE public.configuration_changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.configuration_changes_floor ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.credit_purchases ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.data_subjects ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.gateway_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.gateways ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.geo_rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.idempotency_records ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.invitation_lookups ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.invitations ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.ip_rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.job_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.model_rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.organization_slugs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.organizations ENABLE ROW LEVEL SECURITY;

CREATE POLICY person ON public.data_subjects USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (user_id = ( SELECT public.signalbox_user() AS signalbox_user)) OR (EXISTS ( SELECT
   FROM public.invitations i
  WHERE (i.subject_id = data_subjects.subject_id)))));

CREATE POLICY person ON public.personal_access_tokens USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (user_id = ( SELECT public.signalbox_user() AS signalbox_user))));

CREATE POLICY person ON public.users USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (user_id = ( SELECT public.signalbox_user() AS signalbox_user)) OR (EXISTS ( SELECT
   FROM public.memberships m
  WHERE (m.user_id = users.user_id)))));

ALTER TABLE public.personal_access_tokens ENABLE ROW LEVEL SECURITY;

CREATE POLICY platform ON public.configuration_changes USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.configuration_changes_floor USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.gateway_tokens USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.gateways USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.idempotency_records USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.job_attempts USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform ON public.stripe_events USING (( SELECT public.signalbox_is_system() AS signalbox_is_system));

CREATE POLICY platform_stream ON public.events AS RESTRICTIVE FOR INSERT WITH CHECK (((type ~~ 'gateway\_token.%'::text) = (organization_id = '7369676e-616c-626f-782e-73797374656d'::uuid)));

ALTER TABLE public.projects ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.provider_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.request_logs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.service_token_lookups ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.service_token_uses ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.service_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.snapshots ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.stripe_events ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON public.api_key_lookups USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.api_keys USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.credit_purchases USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.events FOR SELECT USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.geo_rules USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.invitation_lookups USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.invitations USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.ip_rules USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.memberships USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.model_rules USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.organization_slugs USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.organizations USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.projects USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.provider_keys USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.request_logs USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.service_token_lookups USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.service_token_uses USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.service_tokens USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.snapshots USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.usage_counters USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.usage_days USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.usage_reports USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.webhook_cursors USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.webhook_deliveries USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.webhook_endpoints USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

CREATE POLICY tenant ON public.workspace_audit_events USING ((( SELECT public.signalbox_is_system() AS signalbox_is_system) OR (organization_id IN ( SELECT public.signalbox_organizations(( SELECT public.signalbox_principal() AS signalbox_principal)) AS signalbox_organizations))));

ALTER TABLE public.usage_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_reports ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.webhook_cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.webhook_deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.webhook_endpoints ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.workspace_audit_events ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO signalbox_app;

REVOKE ALL ON FUNCTION public.add_request_log_partition(day date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.add_request_log_partition(day date) TO signalbox_app;

REVOKE ALL ON FUNCTION public.drop_request_log_partitions(before date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_request_log_partitions(before date) TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_key_lookups TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_keys TO signalbox_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.configuration_changes TO signalbox_app;

GRANT SELECT,UPDATE ON TABLE public.configuration_changes_floor TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.credit_purchases TO signalbox_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.data_subjects TO signalbox_app;

GRANT SELECT,UPDATE ON TABLE public.event_log_head TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.events TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.gateway_tokens TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.gateways TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.geo_rules TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_records TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.invitation_lookups TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.invitations TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.ip_rules TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.job_attempts TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.memberships TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.model_rules TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organization_slugs TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organizations TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.personal_access_tokens TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.projects TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.provider_keys TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.request_logs TO signalbox_app;

GRANT SELECT ON TABLE public.rules TO signalbox_app;

GRANT SELECT ON TABLE public.schema_migrations TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.service_token_lookups TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.service_token_uses TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.service_tokens TO signalbox_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.snapshots TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.stripe_events TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.usage_counters TO signalbox_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.usage_days TO signalbox_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.usage_reports TO signalbox_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_cursors TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_deliveries TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_endpoints TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.workspace_audit_events TO signalbox_app;

GRANT UPDATE(ip) ON TABLE public.workspace_audit_events TO signalbox_app;

GRANT UPDATE(user_agent) ON TABLE public.workspace_audit_events TO signalbox_app;

