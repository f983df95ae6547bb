# The commands of the repository. `make run` and `make test` do all of their own set-up.

SHELL := /bin/bash
PACKAGES := libpq-dev libssl-dev libjansson-dev libcurl4-openssl-dev zlib1g-dev libzstd-dev pkg-config postgresql postgresql-contrib curl
BENCH_PACKAGES := wrk
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
VENV := .build/contract
PYTHON := $(VENV)/bin/python
FORMAT := swift format
TEST_TARGETS := DomainTests JSONTests ConfigurationFeedTests GatewayTests CryptographyTests CompressionTests \
  PostgresTests MailTests StripeTests IdentityTests EventStoreTests \
  ControlPlaneTests ContractTests FuzzTests FaultTests

# Hundreds of tests at once on two cores would starve each other's deadlines. Older compilers do not have the option.
WIDTH = $(shell swift test --help-hidden 2>/dev/null | \
  grep -q experimental-maximum-parallelization-width && \
  echo --experimental-maximum-parallelization-width 24)

ALONE := CompiledRules|FailedLogin|TokenLife|SlowSender|AccessRace|AccessLatency|RequestLog|Usage|Replay|Webhook

.PHONY: setup python build run test check format lint arithmetic contract bundle bench faults fuzz mutants hostile clean

## System packages, and the Python tools of the contract tests.
setup:
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi

python: $(VENV)/.done
$(VENV)/.done: ops/contract/requirements.txt
	@mkdir -p .build
	@python3 -m venv --help >/dev/null 2>&1 || $(SUDO) apt-get install -y -qq python3-venv
	@python3 -m venv $(VENV)
	@$(PYTHON) -m pip install -q --disable-pip-version-check -r ops/contract/requirements.txt
	@touch $@

## The release binary: .build/release/signalbox
build: setup
	swift build -c release --product signalbox

## The server with its own database and a demo organization, on 127.0.0.1:8080. Unless SIGNALBOX_BOOTSTRAP_TOKEN says
## otherwise, the administrator's token is random; it is kept in data/bootstrap-token, for this user's eyes only.
run: build
	@mkdir -p data
	@if [ -z "$$SIGNALBOX_BOOTSTRAP_TOKEN" ] && [ ! -s data/bootstrap-token ]; then \
	  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > data/bootstrap-token); \
	fi
	@if [ -z "$$SIGNALBOX_BOOTSTRAP_TOKEN" ]; then \
	  echo 'The token of admin@localhost is in data/bootstrap-token. In another terminal:'; \
	  echo '  curl -H "Authorization: Bearer $$(cat data/bootstrap-token)" http://127.0.0.1:8080/v1/me'; \
	fi
	SIGNALBOX_BOOTSTRAP_TOKEN="$${SIGNALBOX_BOOTSTRAP_TOKEN:-$$(cat data/bootstrap-token)}" \
	  .build/release/signalbox serve --data-dir data/server --port 8080 --demo

## Everything that CI runs.
test: setup python check
	swift build --build-tests
	@# One target after the other: tests that measure time should not have to share two cores with all others.
	@set -e; for target in $(TEST_TARGETS); do \
	  echo "== $$target"; swift test --skip-build $(WIDTH) --filter "^$$target\." --skip '^ControlPlaneTests\.($(ALONE))'; \
	done
	@# By themselves: they measure how soon something happens, or have much to do in little time.
	@set -e; for suites in $(subst |, ,$(ALONE)); do \
	  echo "== $$suites"; swift test --skip-build --filter "^ControlPlaneTests\.$$suites"; \
	done
	$(PYTHON) ops/contract/live.py .build/debug/signalbox
	$(PYTHON) ops/contract/fuzz.py .build/debug/signalbox --seconds 25 --seed 1

## Format, lint, arithmetic on numbers from outside, and the contract by itself.
check: lint arithmetic contract

lint:
	$(FORMAT) lint --strict --parallel --recursive Package.swift Sources Tests ops

arithmetic:
	python3 ops/arithmetic.py

format:
	$(FORMAT) --in-place --parallel --recursive Package.swift Sources Tests ops

## That openapi.yaml is what contract/ makes, and obeys OpenAPI and the rules of the wire.
contract: python
	$(PYTHON) ops/contract/test_bundle.py --quiet
	$(PYTHON) ops/contract/validate.py

## Writes openapi.yaml from contract/: ops/contract/README.md.
bundle: python
	$(PYTHON) ops/contract/bundle.py --write

## Measures against floors in the same run; prints ratios.
bench: build
	@dpkg -s $(BENCH_PACKAGES) >/dev/null 2>&1 || $(SUDO) apt-get install -y -qq $(BENCH_PACKAGES)
	swift build -c release --product bare-hummingbird
	swift build -c release --product evaluator-bench
	python3 ops/bench

## The seeded fault run, long: SIGNALBOX_FAULT_SECONDS per scenario.
faults: setup python
	swift build --build-tests
	SIGNALBOX_FAULT_SECONDS=$${SIGNALBOX_FAULT_SECONDS:-120} swift test --skip-build --filter FaultTests
	$(PYTHON) ops/contract/live.py .build/debug/signalbox --boundaries

## Random bytes for every reader of what comes from outside, and mutated requests for a server: an hour in all.
## SIGNALBOX_FUZZ_SECONDS is for each reader, SIGNALBOX_FUZZ_HTTP_SECONDS for the server.
fuzz: setup python
	SIGNALBOX_FUZZ=1 swift build --scratch-path .build/fuzz --product fuzz
	ops/fuzz/run.sh .build/fuzz/debug/fuzz
	swift build --product signalbox
	$(PYTHON) ops/contract/fuzz.py .build/debug/signalbox --seconds $${SIGNALBOX_FUZZ_HTTP_SECONDS:-1800}

## One change of the sources at a time, each of which some test must notice: ops/mutants/README.md.
mutants: setup
	python3 ops/mutants

## Hostile tenants all at once beside others who only work, for SIGNALBOX_HOSTILE_SECONDS (an hour).
hostile: build
	python3 ops/hostile

clean:
	rm -rf .build .build-mutants data
