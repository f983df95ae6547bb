-- What workspaces bought and used. Everything here is rendered from the log, but for reports and days: these are evidence.

-- The balance, and what of the newest month's included requests is used.
ALTER TABLE organizations
  ADD COLUMN credit_logs_balance bigint NOT NULL DEFAULT 0,
  ADD COLUMN usage_period text,
  ADD COLUMN included_requests_used bigint NOT NULL DEFAULT 0;

CREATE TABLE credit_purchases (
  organization_id uuid NOT NULL REFERENCES organizations,
  purchase_id uuid NOT NULL,
  provider text NOT NULL,
  payment_id text NOT NULL,
  package text NOT NULL,
  log_units bigint NOT NULL,
  -- In the currency's smallest unit.
  amount bigint NOT NULL,
  currency text NOT NULL,
  refunded_amount bigint NOT NULL,
  standing_units bigint NOT NULL,
  status text NOT NULL CHECK (status IN (
    'pending', 'completed', 'failed', 'partially_refunded', 'refunded', 'disputed', 'charged_back')),
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  completed_at timestamptz,
  PRIMARY KEY (organization_id, purchase_id),
  UNIQUE (organization_id, payment_id)
);
-- Whoever tells of a payment does not say whose it is.
CREATE INDEX credit_purchases_payment ON credit_purchases (payment_id);

-- The ledger is those events that change a balance.
CREATE INDEX events_credits ON events (organization_id, version) WHERE type LIKE 'credits.%';

CREATE TABLE usage_counters (
  organization_id uuid NOT NULL REFERENCES organizations,
  project_id uuid NOT NULL,
  -- A calendar month of UTC, e.g. 2026-11.
  period text NOT NULL,
  included bigint NOT NULL,
  credits bigint NOT NULL,
  refused bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  version bigint NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, project_id, period),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);

-- What batches of evidence tell of requests that passed: written with them, and taken away in the transaction of the
-- events that count them.
CREATE TABLE usage_reports (
  organization_id uuid NOT NULL,
  report_id uuid NOT NULL DEFAULT gen_random_uuid(),
  project_id uuid NOT NULL,
  requests bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, report_id)
);
CREATE INDEX usage_reports_recorded ON usage_reports (recorded_at);

-- Sums of the evidence, which outlive it.
CREATE TABLE usage_days (
  organization_id uuid NOT NULL,
  day date NOT NULL,
  project_id uuid NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  decision text NOT NULL CHECK (decision IN ('allow', 'block')),
  requests bigint NOT NULL,
  tokens_in bigint NOT NULL,
  tokens_out bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  PRIMARY KEY (organization_id, day, project_id, provider, model, decision)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON credit_purchases, usage_counters TO signalbox_app;
GRANT SELECT, INSERT, DELETE ON usage_reports TO signalbox_app;
GRANT SELECT, INSERT, UPDATE ON usage_days TO signalbox_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY
    ARRAY['credit_purchases', 'usage_counters', 'usage_reports', 'usage_days']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ((SELECT signalbox_is_system()) OR organization_id IN '
      '(SELECT signalbox_organizations((SELECT signalbox_principal()))))',
      tenant_table);
  END LOOP;
END
$$;
