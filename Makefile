# Everything that guards this repository is a target here; .ci/run calls only these.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export GOTOOLCHAIN ?= local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Lint tools run at fixed versions, outside of go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
WORKFLOWCHECK := go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0
GOSEC := github.com/securego/gosec/v2/cmd/gosec@v2.25.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.3.0
# Test kits are no part of what is shipped.
GOSEC_FLAGS := -quiet -exclude-dir=storetest -exclude-dir=integrationtest -exclude-dir=pgtest -exclude-dir=devtest -exclude-dir=importtest -exclude-dir=chaos
# How long each fuzz target runs.
FUZZTIME ?= 20s
# Long enough for the kill tests on two cores.
TEST_TIMEOUT ?= 40m
ARGS ?=

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: bin/tocsin bin/tocsin-worker bin/tocsin-dev ## Build tocsin, tocsin-worker and tocsin-dev into bin/

.PHONY: bin/tocsin bin/tocsin-worker bin/tocsin-dev
bin/tocsin:
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./starter
bin/tocsin-worker:
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./worker
# The Temporal server inside has about 2,000 packages: minutes the first time, seconds later.
bin/tocsin-dev:
	@cd devserver && CGO_ENABLED=0 go build -v -trimpath -ldflags '$(LDFLAGS)' -o ../$@ . 2>&1 | ../.ci/progress "building tocsin-dev"

.PHONY: dev
dev: bin/tocsin-dev ## Run everything in one process on 127.0.0.1 (make dev ARGS=--demo for a tour)
	@exec bin/tocsin-dev $(ARGS)

.PHONY: deps
deps: ## Install what the tests need when it is missing: PostgreSQL, gcc, promtool, Chromium, …
	@.ci/deps

.PHONY: test
test: deps ## Run all tests of all modules, the main one with -race
	go test -race -timeout $(TEST_TIMEOUT) ./...
	cd devserver && go test -timeout $(TEST_TIMEOUT) ./...
	cd deploy/kubernetes && go test ./...

# Where to keep the table of results, if anywhere: make chaos TABLE=docs/reliability.md
TABLE ?=
.PHONY: chaos
chaos: deps ## Kill everything with kill -9 under load, 20 rounds each, and at every failpoint: about 11 minutes
	cd devserver && go test ./chaos -v -count=1 -parallel 6 -timeout 20m -rounds 20 $(if $(TABLE),-table $(abspath $(TABLE)))

# What to measure, and where results go: make bench ARGS="-part single,batch -json bench.json"
# For profiles with names in them: make bench LDFLAGS= ARGS="-part single -profile /tmp/profiles"
.PHONY: bench
bench: build deps ## Measure ingest to delivery with the real processes: most of an hour, or ARGS=-short
	@mkdir -p bin && go build -o bin/bench ./bench
	@exec bin/bench -bin bin $(ARGS)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, gosec, workflowcheck, tidy go.mod files
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	cd devserver && go vet ./...
	cd deploy/kubernetes && go vet ./...
	go run $(STATICCHECK) ./...
	cd devserver && go run $(STATICCHECK) ./...
	cd deploy/kubernetes && go run $(STATICCHECK) ./...
	go run $(GOSEC) $(GOSEC_FLAGS) -exclude-dir=devserver ./...
	cd devserver && go run $(GOSEC) $(GOSEC_FLAGS) ./...
	go run $(WORKFLOWCHECK) ./workflows/...
	go mod tidy -diff
	cd devserver && go mod tidy -diff
	cd deploy/kubernetes && go mod tidy -diff

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s) each
	@.ci/fuzz $(FUZZTIME)

.PHONY: vuln
vuln: ## Run govulncheck where its database can be reached
	@.ci/vuln $(GOVULNCHECK)

.PHONY: cover
cover: deps ## Write coverage of the main module to cover.html
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -html=cover.out -o cover.html

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin cover.out cover.html

.PHONY: key
key: ## Print a new key ring for TOCSIN_SECRET_KEY
	@go run ./starter keys ring
