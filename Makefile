# Most targets need Go alone. The kafka targets need Java 17 and Maven, test-kafka needs kcat too, test-publishing kcat, Python 3
# and Node. The redis targets need redis-server, test-alerts promtool, test-deploy Python 3 and Node, test-status chromium. No target
# needs Docker.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/bin/golangci-lint
GOLANGCI_STAMP := .cache/bin/golangci-lint.$(GOLANGCI_VERSION)

# FUZZRUNS is how many times each fuzz target runs. BENCH is a regular expression of benchmarks.
FUZZRUNS ?= 200000
BENCH ?= .

# Tests make much garbage and keep little: with Go's default of GOGC, a fifth of the simulation's time is the collector's, and more with
# the race detector.
TEST_GOGC := 400

# The soak runs for MINUTES. QUOTA is how its replicas share the quota: partitions, or redis, which needs redis-server.
MINUTES ?= 30
QUOTA ?= partitions

# The tests that take their Redis from TEST_REDIS.
REDIS_TESTS := ./consumer/redisbudget ./test/e2e

# The tests that take their broker from TEST_BROKERS, and the environment of those behind the build tag kafka.
KAFKA_TESTS := ./test/e2e
KAFKA_ENV = TEST_BROKERS=$$(<.cache/kafka/brokers) TEST_SECURE_BROKERS=$$(<.cache/kafka/secure-brokers) \
	TEST_CA_FILE=$(CURDIR)/.cache/kafka/ca.pem TEST_KAFKA_NODE=$(CURDIR)/deploy/kafka/node.sh

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/convdel, with version and commit from git
	go build -trimpath -buildvcs=auto -o bin/convdel ./cmd/convdel

.PHONY: test
test: ## Run the tests, on an embedded broker
	go test ./...

.PHONY: check
check: fmt-check lint race build ## Check a change: format, lint, tests with the race detector, build

.PHONY: fmt
fmt: $(GOLANGCI_STAMP) ## Format the Go code
	$(GOLANGCI) fmt ./...

.PHONY: fmt-check
fmt-check: $(GOLANGCI_STAMP)
	$(GOLANGCI) fmt --diff ./...

.PHONY: lint
lint: $(GOLANGCI_STAMP) ## Run the linter, in the pinned version
	$(GOLANGCI) run ./...

.PHONY: race
# The service of test/e2e is a process of its own, which is built without the detector.
race: ## Run the tests with the race detector, but for test/e2e
	GOGC=$(TEST_GOGC) go test -race -timeout 30m $$(go list ./... | grep -v /test/e2e)

.PHONY: cover
cover: ## Run the tests and report their coverage, as .cache/cover.html too
	@mkdir -p .cache
	go test -coverpkg=./... -coverprofile=.cache/cover.out ./...
	@go tool cover -html=.cache/cover.out -o .cache/cover.html
	@go tool cover -func=.cache/cover.out | tail -n 1

.PHONY: bench
bench: ## Run the benchmarks (BENCH=regexp): throughput, latency, memory; takes minutes
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./consumer/... ./imclient/... ./schema/...
	go test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 60m ./test/e2e

# The fuzz targets are found in the sources, since `go test -list` builds and links the tests of all packages first.
# FUZZRUNS counts runs, since a run of limited time can fail in Go before 1.27: it says only "context deadline exceeded" if it
# ends at the wrong moment (golang/go#75804).
.PHONY: fuzz
fuzz: ## Run each fuzz target FUZZRUNS (200000) times
	@targets=$$(git grep --untracked -o '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:func (.*)$$|./\1 \2|'); \
	[[ -n $$targets ]] || { echo "no fuzz targets" >&2; exit 1; }; \
	while read -r package target; do \
		echo "fuzz $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZRUNS)x -fuzzminimizetime 1000x "$$package" </dev/null; \
	done <<<"$$targets"

.PHONY: demo
demo: ## See convdel at work, from the first event to the ledger, with nothing installed
	go run ./cmd/convdel demo

.PHONY: kafka-up
kafka-up: ## Start a real Kafka on 127.0.0.1:19092 (KAFKA_PORT=), one node or BROKERS=3, and print KAFKA_BROKERS
	@deploy/kafka/up.sh

.PHONY: kafka-down
kafka-down: ## Stop that Kafka and remove its data
	@deploy/kafka/down.sh

.PHONY: test-kafka
test-kafka: export BROKERS := 3
test-kafka: kafka-up ## Run the end-to-end tests on a real Kafka of three nodes, started if need be; needs kcat too
	$(KAFKA_ENV) go test -count=1 -timeout 30m -tags kafka $(KAFKA_TESTS)

.PHONY: test-publishing
test-publishing: export BROKERS := 3
test-publishing: kafka-up ## Run the programs of docs/publishing.md on that Kafka; needs kcat, Python 3 and Node too
	.ci/publishing/try.sh

.PHONY: test-alerts
test-alerts: ## Check the alert rules and run their tests; needs promtool
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules deploy/prometheus/rules_test.yml

.PHONY: test-deploy
test-deploy: build ## Check deploy/ and the releases' configuration: queries, manifests, unit, schemas; needs Python 3 and Node
	@rm -rf .cache/deploy && mkdir -p .cache/deploy
	CONVDEL=$(CURDIR)/bin/convdel RENDERED=$(CURDIR)/.cache/deploy go test -C .ci/deploycheck -count=1 ./...
	.ci/deploycheck/schemas.sh .cache/deploy

GORELEASER := go run github.com/goreleaser/goreleaser/v2@v2.16.0
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# The notes of a release are its part of CHANGELOG.md. A tag without a part is an error.
.PHONY: release-notes
release-notes:
	@awk -v version='$(patsubst v%,%,$(TAG))' 'index($$0, "## [" version "] - ") == 1 {on = found = 1; next} /^## / {on = 0} on {print} \
		END {if (!found) {print "CHANGELOG.md has no part of version " version > "/dev/stderr"; exit 1}}' CHANGELOG.md

# Compiling goreleaser takes some ten minutes, once.
.PHONY: release
release: export PATH := $(CURDIR)/.cache/bin:$(PATH)
release: ## Release the commit's tag: binaries, image, SBOMs, checksums; IMAGE_REPOSITORY names the image, SNAPSHOT=1 only tries it
	@mkdir -p .cache
	GOBIN=$(CURDIR)/.cache/bin go install $(CYCLONEDX)
ifdef SNAPSHOT
	IMAGE_REPOSITORY=localhost/convdel $(GORELEASER) release --snapshot --clean --skip=ko
else
	@$(MAKE) --no-print-directory release-notes TAG=$$(git describe --exact-match --tags) >.cache/release-notes.md
	$(GORELEASER) release --clean --release-notes .cache/release-notes.md
endif

.PHONY: test-status
test-status: ## Open the status page in headless Chromium; needs chromium. PICTURES=-update writes docs/pictures anew
	cd test/browser && go vet . && go test -count=1 -timeout 5m . $(PICTURES)

# The simulation takes SEEDS days from the seed FROM on, or the day of SEED alone.
SEEDS ?= 100
FROM ?= 1
.PHONY: sim
sim: ## Simulate SEEDS (100) bad days in virtual time, or the day of SEED=n with its timeline; logs of failing days in .cache/sim
	GOGC=$(TEST_GOGC) go test -count=1 -timeout 60m -run '^TestSimulation$$' -v ./test/sim -logs $(CURDIR)/.cache/sim \
		$(if $(SEED),-seed $(SEED),-seeds $(SEEDS) -from $(FROM)) | grep -v '^ *\(===\|--- PASS\)'

# The packages that have broken rules or broken services, behind the build tag mutants.
RULES := ./consumer/internal/breaker ./consumer/internal/membership ./consumer/internal/offsets ./consumer/internal/quota ./consumer/internal/revival
MUTANTS := $(RULES) ./test/sim

# It first tries the day that caught a broken service last, which test/sim/testdata/caught.txt names, and scans all days if that
# one does not. The scan replaces the line: commit it.
.PHONY: sim-check
sim-check: ## Break the service on purpose, in one way after the other (PART=0/2: in every other one): the simulation must notice each
	GOGC=$(TEST_GOGC) TEST_MUTANTS_PART=$(PART) go test -count=1 -timeout 60m -tags mutants -run '^TestMutants$$' -v ./test/sim | grep -v '^ *=== \(RUN\|PAUSE\|CONT\)'

# CI leaves it out: it takes ten minutes.
.PHONY: rules-check
rules-check: ## Break the rules of breaker, membership, offsets, quota and revival, in one way after the other: their own tests must notice each
	go test -count=1 -timeout 60m -tags mutants -run '^TestMutants$$' -v $(RULES) | grep -v '^ *==='

.PHONY: mutants-apply
mutants-apply: ## Check that each way of breaking the service on purpose still applies and compiles
	go test -count=1 -tags mutants -run '^TestMutantsApply$$' $(MUTANTS)

.PHONY: soak
soak: export BROKERS := 3
soak: kafka-up ## Run three replicas on that Kafka for MINUTES (30), with a fault each minute; the ledger must balance
	@mkdir -p .cache/soak && rm -f .cache/soak/*.log
	$(KAFKA_ENV) TEST_SOAK_MINUTES=$(MINUTES) TEST_SOAK_QUOTA=$(QUOTA) TEST_SOAK_LOGS=$(CURDIR)/.cache/soak \
		go test -count=1 -tags kafka,soak -run '^TestSoak$$' -timeout $$(($(MINUTES) + 20))m -v ./test/e2e

.PHONY: redis-up
redis-up: ## Start a real Redis on 127.0.0.1:16379 (REDIS_PORT=)
	@deploy/redis/up.sh

.PHONY: redis-down
redis-down: ## Stop that Redis
	@deploy/redis/down.sh

.PHONY: test-redis
test-redis: redis-up ## Run the tests of the shared quota on that Redis, started if need be
	TEST_REDIS=$$(<.cache/redis/address) go test -count=1 -run 'Redis|Spaced|Loss|Errors' $(REDIS_TESTS)

.PHONY: clean
clean: kafka-down redis-down ## Remove the output of make: bin, and tools and jars in .cache
	rm -rf bin .cache

# The linter is installed as a program, not as a dependency, so that its two hundred modules stay out of go.mod.
$(GOLANGCI_STAMP):
	@echo "installing golangci-lint $(GOLANGCI_VERSION), once"
	@GOBIN=$(CURDIR)/.cache/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) \
		2> >(grep -v '^go: downloading' >&2)
	@rm -f .cache/bin/golangci-lint.v*
	@touch $@
