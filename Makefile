# Everything CI runs is a target here, so a local run and CI cannot differ.
# `make test`, `make race` and `make examples` need only Go. The linter and the
# other tools are built from tools/go.mod.

GO       ?= go
FUZZTIME ?= 6s
BENCH    ?= .
COUNT    ?= 1
TESTFLAGS ?=

# GO_OLDEST is the oldest Go that this module promises to build with, and
# GO_NEWEST is the newest Go. The go command downloads both toolchains as
# modules.
GO_OLDEST := 1.26.0
GO_NEWEST := 1.27.4

# `make bench` measures once with GO_BENCH and once with GO_NEWEST.
GO_BENCH := 1.26.8
ROUNDS   ?= 8

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# A go.work file in a parent folder must not change what is tested.
export GOWORK := off
export GO

# MODULES are all modules of the repository. NESTED are the modules that `make
# modules` tests. IMPORTABLE are the modules that a merchant can import.
# PUBLISHED are the IMPORTABLE modules and the modules of the programs.
MODULES   := $(sort $(patsubst ./%,%,$(shell find . -name go.mod -not -path '*/vendor/*' -not -path '*/node_modules/*' -exec dirname {} \;)))
NESTED    := $(filter-out . testdata/consumer browsertest,$(MODULES))
IMPORTABLE := . $(filter contrib/%,$(MODULES))
PUBLISHED := $(IMPORTABLE) $(filter cmd/%,$(MODULES))

# ENTER changes to a module's folder. A program's module has a go.work file
# instead of a replace line, because go install refuses a replace line:
# CONTRIBUTING.md, "Modules".
ENTER = cd $$dir && { [[ ! -f go.work ]] || export GOWORK=$$PWD/go.work; }

# Nested modules may need a newer Go than the SDK. GOTOOLCHAIN=auto lets the go
# command download that newer Go.
NEWER_GO := GOTOOLCHAIN=auto $(GO)
BIN      := $(CURDIR)/bin
LIMIT    := $(if $(shell command -v timeout),timeout 120,)

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The tests come last, because people look for their result at the end of the
# output.
CHECKS := build vet fmt-check tidy-check generate-check lint house words depcheck licences apicheck 386 cross consumer release compat modules fips examples browser fuzz cover race test

.PHONY: check
check: ## Run all that CI runs.
	@for target in $(CHECKS); do printf '\n=== make %s (%d s so far)\n' $$target $$SECONDS; $(MAKE) $$target || exit 1; done

## Build and test

.PHONY: build
build: ## Build every package.
	$(GO) build ./...

.PHONY: test
test: ## Run the tests. The largest package comes last, so the results of the others show before it ends.
	$(GO) test $(TESTFLAGS) $$($(GO) list ./... | sed 1d) .

.PHONY: race
race: ## Run the tests in random order under the race detector.
	CGO_ENABLED=1 PLURAL_ADVERSARY=600 $(GO) test -race -shuffle=on $(TESTFLAGS) ./...

# The long searches are tests that try thousands of sequences of calls and
# faults. They run once without and once with the race detector. The other
# targets leave them out.
SEARCHES := ^(TestEveryFaultSequence|TestSoak|TestSoakOfLinks|TestSoakOverTCP|TestAdversary|TestLinks|TestAmountsAgreeOnEveryDocument|TestNothingBecomesMoreThan64MiB|TestRiver|TestNights|TestNightsOverTheEmulator)$$

.PHONY: cover
cover: tool-covercheck ## Measure test coverage, and fail if an area in tools/coverage.txt is below its minimum.
	$(GO) test -coverpkg="$$($(GO) list ./... | grep -v /examples | paste -sd, -)" -coverprofile=coverage.out -skip '$(SEARCHES)' $(TESTFLAGS) ./...
	@$(BIN)/covercheck -profile coverage.out -areas tools/coverage.txt

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (6s) each.
	@tools/fuzz.sh $(FUZZTIME) $(IMPORTABLE)

.PHONY: chaos
chaos: ## Run the client for ten minutes against misbehaving emulators. Its heap and its number of goroutines must not grow.
	PLURAL_CHAOS=10m $(GO) test -run '^TestChaos$$' -count=1 -timeout 20m -v .

.PHONY: hostile
hostile: ## Call every method against every misbehaving server.
	PLURAL_HOSTILE=full $(GO) test -run '^TestHostilePeers$$' -count=1 -timeout 20m ./hostile

.PHONY: benchmarks
benchmarks: ## Run the package's own benchmarks whose names match BENCH, COUNT times. Compare two outputs with bin/benchstat.
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

.PHONY: bench
bench: ## Compare the speed of the package and of other SDKs on two versions of Go, and write docs/performance.md and its tables (takes half an hour).
	cd bench && for go in $(GO_BENCH) $(GO_NEWEST); do \
		GOTOOLCHAIN=go$$go $(GO) run . -rounds $(ROUNDS) -out $(CURDIR)/bin/bench-$$go.json; done
	cd bench && $(NEWER_GO) run . -page ../docs/performance.md -results ../docs/performance-results.md -chart ../docs/performance.svg \
		$(CURDIR)/bin/bench-$(GO_BENCH).json $(CURDIR)/bin/bench-$(GO_NEWEST).json

.PHONY: examples
examples: ## Build the examples and run the main one against the emulator.
	@if [[ ! -d examples ]]; then echo "no examples yet"; exit 0; fi; set -x; \
	$(GO) build -o /dev/null ./examples/...; $(GO) vet ./examples/...; \
	env -u PLURAL_CLIENT_ID -u PLURAL_CLIENT_SECRET -u PLURAL_ENVIRONMENT -u PLURAL_BASE_URL $(LIMIT) $(GO) run ./examples/preauth

.PHONY: browser
browser: ## Click through the emulator's pages in Chromium. Without Chromium this fails in CI, and is skipped elsewhere.
	cd browsertest && $(NEWER_GO) vet ./... && $(NEWER_GO) test $(TESTFLAGS) ./...

.PHONY: modules
modules: ## Vet and test the other modules of the repository. Four tests run at once, because they mostly wait.
	@for dir in $(NESTED); do echo "== $$dir"; ($(ENTER) && $(NEWER_GO) vet ./... && $(NEWER_GO) test -parallel 4 $(TESTFLAGS) ./...) || exit 1; done

# GOFIPS140 selects the certified version of Go's cryptographic module, because
# that version takes its entropy from the system. Newer versions measure time
# to get entropy, and time stands still in testing/synctest. `make fips` leaves
# out the tests with keys shorter than 112 bits, because FIPS 140 refuses such
# keys. The published example, the test vectors and the tests of the examples
# have such keys. `make fips` also leaves out the long searches, because they
# do not depend on keys. It leaves out tools, bench and browsertest, because
# they are not part of a merchant's program, and contrib/river, because that
# module has no cryptography of its own.
FIPS       := GOFIPS140=v1.0.0 GODEBUG=fips140=only
SHORT_KEYS := ^(TestKeys|TestCallbackVectors|TestWebhookPublishedVector|TestNewVerifierRefuses|TestWebhookSignatureVector)$$

.PHONY: fips
fips: ## Run the tests in a mode that allows only the cryptography that FIPS 140 approves.
	$(FIPS) $(GO) test -skip '$(SHORT_KEYS)|$(SEARCHES)' $(TESTFLAGS) $$($(GO) list ./... | grep -v /examples/)
	@for dir in $(filter-out contrib/river,$(filter contrib/%,$(MODULES))); do echo "== $$dir"; (cd $$dir && $(FIPS) $(NEWER_GO) test -skip '$(SEARCHES)' $(TESTFLAGS) ./...) || exit 1; done

.PHONY: nights
nights: ## Test reconcile in 20,000 random worlds of three nights each, and in 1,000 against the emulator (PLURAL_SEED is the first seed).
	PLURAL_RECONCILE=20000 $(GO) test -run '^TestNights' -count=1 -timeout 1h -v ./reconcile

.PHONY: sale
sale: ## Let 2,000 customers buy at two storefronts that are killed at random. At the end shop and books must agree.
	cd examples/storefront && STOREFRONT_PURCHASES=2000 $(NEWER_GO) test -run '^TestFleet$$' -count=1 -timeout 30m -v .

.PHONY: soak
soak: ## Run the full soak tests (PLURAL_SEED replays one run).
	PLURAL_SOAK=full $(GO) test -run Soak -v -count 1 -timeout 1h .

.PHONY: exhaustive
exhaustive: ## Try every sequence of three faults (an hour or so on two cores).
	PLURAL_EXHAUSTIVE=full $(GO) test -run EveryFaultSequence -v -count 1 -timeout 10h .

.PHONY: adversary
adversary: ## Run the package against 150,000 scenarios of a gateway that lags, loses answers and leaves out fields (PLURAL_SEED is the first seed).
	PLURAL_ADVERSARY=full $(GO) test -run '^(TestAdversary|TestLinks)$$' -v -count 1 -timeout 4h ./adversary

## Style

.PHONY: fmt
fmt: tool-golangci-lint ## Format the code.
	@for dir in $(MODULES); do (cd $$dir && $(BIN)/golangci-lint fmt); done

.PHONY: fmt-check
fmt-check: tool-golangci-lint ## Fail if the code is not formatted.
	@for dir in $(MODULES); do (cd $$dir && $(BIN)/golangci-lint fmt --diff) || { echo "not formatted: run make fmt"; exit 1; }; done

.PHONY: vet
vet: ## Run go vet.
	$(GO) vet ./...

.PHONY: lint
lint: tool-golangci-lint ## Run golangci-lint on every module.
	@$(BIN)/golangci-lint config verify
	@failed=; for dir in $(MODULES); do echo "== $$dir"; ($(ENTER) && GOTOOLCHAIN=auto $(BIN)/golangci-lint run ./...) || failed=1; done; [[ -z $$failed ]]

.PHONY: house
house: tool-housecheck ## Fail if a file uses a file that is below it in CONTRIBUTING.md's drawing.
	@$(BIN)/housecheck -drawing CONTRIBUTING.md .

.PHONY: words
words: tool-wordcheck ## Fail if a comment or a document has a phrase that CONTRIBUTING.md advises against.
	@git ls-files -z '*.go' '*.md' | xargs -0 $(BIN)/wordcheck -table CONTRIBUTING.md

.PHONY: generate
generate: ## Write the generated code.
	$(GO) generate .

.PHONY: generate-check
generate-check: generate ## Fail if the generated code does not match the lists that it is generated from.
	@git diff --exit-code -- '*_generated.go'

.PHONY: tidy
tidy: ## Tidy every go.mod.
	@for dir in $(MODULES); do tools/tidy.sh $$dir || exit 1; done

.PHONY: tidy-check
tidy-check: ## Fail if a go.mod is not tidy.
	@for dir in $(MODULES); do echo "== $$dir"; tools/tidy.sh $$dir -diff || { echo "not tidy: run make tidy"; exit 1; }; done

## What merchants get

.PHONY: consumer
consumer: ## Vendor the package into a merchant's module. Build and test that module with the oldest and the newest Go.
	@tools/consumer.sh $(GO_OLDEST) $(GO_NEWEST)

.PHONY: release
release: ## Publish all modules to a proxy on disk. Get them from there into a shop, and tidy, vendor, build and test the shop. Then install and run the programs.
	@tools/release.sh $(PUBLISHED)

.PHONY: compat
compat: ## Run the tests, except the long searches, with the oldest and the newest Go.
	GOTOOLCHAIN=go$(GO_OLDEST) $(GO) test -skip '$(SEARCHES)' $(TESTFLAGS) ./...
	GOTOOLCHAIN=go$(GO_NEWEST) $(GO) test -skip '$(SEARCHES)' $(TESTFLAGS) ./...

.PHONY: 386
386: ## Build and vet for a 32-bit platform.
	GOARCH=386 CGO_ENABLED=0 $(GO) build ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./...

.PHONY: cross
cross: ## Build for the other platforms that merchants and their tools run on.
	@for platform in linux/arm64 windows/amd64 darwin/arm64 js/wasm; do echo "== $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) build . ./internal/... ./pluraltest ./reconcile || exit 1; done
	@for platform in linux/arm64 windows/amd64 darwin/arm64; do echo "== $$platform, programs"; for dir in $(filter cmd/%,$(MODULES)); do \
		($(ENTER) && GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(NEWER_GO) build -o /dev/null .) || exit 1; done; done

.PHONY: depcheck
depcheck: ## Fail if a merchant would compile anything but the SDK, the standard library and uuid.
	@tools/depcheck.sh $(GO_OLDEST)

# The licences that are allowed for the code that the SDK uses. The other
# published modules may also use code under the MPL, such as River.
LICENCES := MIT,BSD-2-Clause,BSD-3-Clause,Apache-2.0,ISC

.PHONY: licences
licences: ## Fail if a merchant would compile code whose licence asks for more than a notice.
	@[[ -x $(BIN)/go-licenses ]] || GOBIN=$(BIN) $(NEWER_GO) install github.com/google/go-licenses@v1.6.0
	@for dir in $(PUBLISHED); do echo "== $$dir"; ($(ENTER) && $(NEWER_GO) mod download && \
		$(BIN)/go-licenses check ./... --ignore github.com/plural-go/plural --allowed_licenses=$(LICENCES)$$([[ $$dir == . ]] || echo ,MPL-2.0)) 2> >(grep -vE '^W|^/' >&2) || exit 1; done

.PHONY: apicheck
apicheck: tool-apicheck ## Fail if the exported API differs from its golden files.
	@$(BIN)/apicheck -golden api $(IMPORTABLE)

.PHONY: api
api: tool-apicheck ## Rewrite the golden files of the exported API.
	@$(BIN)/apicheck -golden api -update $(IMPORTABLE)

.PHONY: vuln
vuln: tool-govulncheck ## Look for known vulnerabilities in the published modules. This needs the network, so a scheduled workflow runs it, and make check does not.
	@failed=; for dir in $(PUBLISHED); do echo "== $$dir"; ($(ENTER) && GOTOOLCHAIN=auto $(BIN)/govulncheck ./...) || failed=1; done; [[ -z $$failed ]]

## The rest

.PHONY: clean
clean: ## Remove what the targets above leave behind.
	rm -rf bin coverage.out coverage.html browsertest/screenshots

# These targets always run, because only the go command knows whether a tool is
# up to date. Asking it takes half a second.
.PHONY: tools
tools: tool-golangci-lint tool-benchstat tool-govulncheck tool-apicheck tool-covercheck tool-housecheck tool-wordcheck ## Build all tools into bin/.

tool-golangci-lint: PKG = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
tool-benchstat:     PKG = golang.org/x/perf/cmd/benchstat
tool-govulncheck:   PKG = golang.org/x/vuln/cmd/govulncheck
tool-apicheck:      PKG = ./apicheck
tool-covercheck:    PKG = ./covercheck
tool-housecheck:    PKG = ./housecheck
tool-wordcheck:     PKG = ./wordcheck

tool-%:
	@cd tools && $(NEWER_GO) build -o $(BIN)/$* $(PKG)
