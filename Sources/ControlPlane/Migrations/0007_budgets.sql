-- Budgets of a project, and panic mode that ends by itself.

ALTER TABLE projects
  ADD COLUMN requests_per_month bigint CHECK (requests_per_month > 0),
  -- Micro-USD.
  ADD COLUMN cost_per_month bigint CHECK (cost_per_month > 0),
  ADD COLUMN panic_mode_until timestamptz;

CREATE INDEX projects_panic_mode_until ON projects (panic_mode_until)
  WHERE panic_mode_until IS NOT NULL;
