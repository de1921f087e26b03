# What is done often. Each target covers every module of the workspace.
#
#   make check   formatting, vet, the rules of the house, linters where installed
#   make test    all tests                      make race   the same under the race detector
#   make fuzz    each fuzz target for FUZZTIME  make bench  benchmarks, in the form benchstat reads
#                (QUIESCE_BENCH_MIB=2048 QUIESCE_BENCH_STREAM_MIB=51200 QUIESCE_BENCH_ROWS=4000000 for the sizes of reference)
#   make cross   vet and build for other systems
#   make tools   build the linters pinned below into .cache/bin
#   make ci      everything, as CI does it
#
# The benchmarks are small by default. The sizes that the documents quote:
#   make bench QUIESCE_BENCH_MIB=2048 QUIESCE_BENCH_STREAM_MIB=51200 QUIESCE_BENCH_ROWS=4000000

GO        ?= go
BIN       := $(CURDIR)/.cache/bin
BENCHDIR  := $(CURDIR)/.cache/bench
FUZZTIME  ?= 10s
BENCH     ?= .
BENCHTIME ?= 1s
COUNT     ?= 1
PLATFORMS ?= linux/amd64 windows/amd64 windows/386 darwin/arm64

# staticcheck is part of golangci-lint. Nothing is looked up as "latest": the same commit gives the same findings.
GOLANGCI_VERSION  := v2.15.0
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da

# The pinned linter first, then one that is installed, else none.
GOLANGCI := $(or $(wildcard $(BIN)/golangci-lint),$(shell command -v golangci-lint 2>/dev/null))
BENCHSTAT := $(or $(wildcard $(BIN)/benchstat),$(shell command -v benchstat 2>/dev/null))
MODULES  = $(shell $(GO) list -m -f '{{.Dir}}')

.PHONY: check fmt vet house lint test race fuzz bench cross tools ci

check: fmt vet house lint

fmt:
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet work

house:
	$(GO) test ./internal/house

lint:
ifeq ($(GOLANGCI),)
	@echo "lint left out: golangci-lint is not installed; make tools builds it"
else
	@set -e; for dir in $(MODULES); do echo "golangci-lint $$dir"; (cd $$dir && $(GOLANGCI) run --allow-parallel-runners ./...); done
endif

test:
	$(GO) test work

# Left out: internal/e2e runs the same code against servers in other processes, which the detector does not see; the embedded server of
# examples/quickstart writes package variables of its own without a lock when two of them start at once; the sqlite agent of
# examples/customagent runs its conformance suite through a driver translated from C, which takes minutes under the detector; and so does the
# compression of the simulated SQL Server, and so would the programs that stand for sqlplus and RMAN, a process for each call. -short leaves both out.
race:
	CGO_ENABLED=1 $(GO) test -race -short -p 3 -timeout 20m ./...
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./examples/obm/... ./examples/customagent ./examples/customagent/keeper

fuzz:
	@bash .ci/fuzz $(FUZZTIME)

bench:
	@mkdir -p $(BENCHDIR)
	@for peer in zstd age restic mariadb-dump mydumper; do \
		command -v $$peer >/dev/null || echo "# $$peer is not installed: nothing is measured beside it"; done
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) -timeout 60m work | tee $(BENCHDIR)/new.txt
ifneq ($(BENCHSTAT),)
	@if [ -f $(BENCHDIR)/base.txt ]; then $(BENCHSTAT) $(BENCHDIR)/base.txt $(BENCHDIR)/new.txt; \
	else echo "# to compare later runs with this one: cp $(BENCHDIR)/new.txt $(BENCHDIR)/base.txt"; fi
endif

cross:
	@set -e; for p in $(PLATFORMS); do echo "$$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) vet ./...; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build ./...; done
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) vet ./examples/obm/... # with its service; the cloud SDKs take minutes for each system

tools:
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	GOBIN=$(BIN) $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

ci:
	bash .ci/run
