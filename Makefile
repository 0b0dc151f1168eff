# Millrace: one entry for everything. `make help` lists what there is.

PG_CONFIG ?= pg_config
DESTDIR ?=
JOBS ?= $(shell nproc)
export PG_CONFIG

MAKEFLAGS += --no-print-directory
PROGRAMS = pg_extension ingestor api loadtools

.DEFAULT_GOAL := all

all: $(PROGRAMS) ## build everything: the extension, the ingestor, the API, the load tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-13s %s\n", $$1 == "all" ? "" : $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install the Debian packages that are missing (sudo when not root)
	@.ci/deps build demo test check

pg_extension: ## build the PostgreSQL extension
	@$(MAKE) -s -C pg_extension -j$(JOBS)

ingestor: ## build build/bin/millrace-ingestor
	@$(MAKE) -s -C ingestor -j$(JOBS)

api: ## build build/bin/millrace-api
	@$(MAKE) -s -C api -j$(JOBS)

loadtools: ## build the event generator, the weather producer, the development broker
	@$(MAKE) -s -C loadtest -j$(JOBS)

demo: ## one year of New York's weather through the whole pipeline, on this machine
	@.ci/deps build demo
	@$(MAKE) all
	@loadtest/demo/start.sh

demo-stop: ## end exactly what `make demo` started
	@loadtest/demo/stop.sh

check: ## run every test; installs and starts what they need, leaves nothing running
	@.ci/deps build demo test check
	@tests/check.sh

check-matrix: ## build and test on PostgreSQL 15 to 18 (MAJORS="17 18"), each in a Debian system of its own
	@.ci/deps matrix || true # what is missing is said for each version
	@tests/matrix/check.sh

check-asan: ## tests of the API with the programs built under AddressSanitizer and UBSan (E2E="tests/e2e/test_ingestor.py")
	@.ci/deps build test check
	@$(MAKE) all
	@tests/asan.sh $(E2E)

check-compose: ## docker-compose.yml in a Docker daemon of its own, on Debian's packages instead of pulled images, as root
	@.ci/deps build test check
	@.ci/deps compose || true # what is missing is said
	@$(MAKE) loadtools
	@PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider -rs tests/compose

fuzz: ## libFuzzer on what reads bytes of strangers, for TIME=60 seconds each (tests/fuzz)
	@.ci/deps build check
	@$(MAKE) -s -C tests/fuzz -j$(JOBS) fuzz

bench: ## measure speed and memory on this machine, write build/bench.json (SCENARIOS="end_to_end latency", EVENTS=200000, REPEAT=5: in pairs with plain runs)
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/bench/bench.py $(EVENTS:%=--events %) $(REPEAT:%=--repeat %) $(SCENARIOS:%=--only %)

bench-compare: ## speed against another revision, both built and run in turn: REV=HEAD~3 (SCENARIOS, REPEAT, EVENTS)
	@[ -n '$(REV)' ] || { echo 'bench-compare: say what to compare with, such as make bench-compare REV=HEAD~3' >&2; exit 2; }
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/bench/compare.py '$(REV)' $(EVENTS:%=--events %) $(REPEAT:%=--repeat %) $(SCENARIOS:%=--scenario %)

bench-peers: ## speed against the Flink job of the peers' kit in $PEERS_DIR, in pairs of runs (REPEAT=5, EVENTS)
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/bench/peers.py $(EVENTS:%=--events %) $(REPEAT:%=--repeat %)

bench-long: ## whether the rate stays into a table that outgrows shared_buffers, beside COPY (and Flink): EVENTS=100000000, SHARED_BUFFERS=2GB
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/bench/long.py $(EVENTS:%=--events %) $(SHARED_BUFFERS:%=--shared-buffers %)

bench-api: ## speed and memory of the HTTP API beside a Spring Boot service, write build/bench-api.json (EVENTS=20000, TIME=2, REPEAT=1, RUNS="by_id list")
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/bench/bench_api.py $(EVENTS:%=--events %) $(TIME:%=--seconds %) $(REPEAT:%=--repeat %) $(RUNS:%=--only %)

loadtest: ## load for a minute, with a report: RATE=100000 SHAPE=steady|ramp|spike|soak|skew|broken|stop, LOAD="--dsn …" for a running system
	@.ci/deps build test check
	@$(MAKE) all
	@loadtest/load/load.py $(RATE:%=--rate %) $(SHAPE:%=--shape %) $(LOAD)

install: ## install extension and programs (honours PG_CONFIG, DESTDIR, prefix)
	@$(MAKE) -C pg_extension install DESTDIR='$(DESTDIR)'
	@$(MAKE) -C ingestor install DESTDIR='$(DESTDIR)'
	@$(MAKE) -C api install DESTDIR='$(DESTDIR)'

format: ## reformat the C sources
	@.ci/sources c | xargs -r clang-format-14 -i

lint: ## everything that reads the sources without running them (.ci/lint)
	@.ci/lint

clean: ## remove what was built (a running demo is left alone)
	@for p in $(PROGRAMS); do if [ -f $$p/Makefile ]; then $(MAKE) -C $$p clean; fi; done
	@rm -rf build
	@if [ -e .git ]; then git worktree prune; fi

.PHONY: all help deps demo demo-stop check check-matrix check-asan check-compose fuzz bench bench-compare bench-peers bench-long bench-api loadtest install format lint clean $(PROGRAMS)
