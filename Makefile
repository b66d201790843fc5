# Every target works on a fresh checkout; what takes long is cached.
MODULES := . test test/monitoring
GO_TOOL := go tool -modfile=$(CURDIR)/tools/go.mod
# The last that it prints is what has failed, and with what output.
GO_TEST_AS = $(GO_TOOL) gotestsum --hide-summary skipped --format
GO_TEST = $(GO_TEST_AS) standard-verbose --
GENERATED := api/v1alpha1/zz_generated.deepcopy.go client manifests/crds docs/reference
VERSION ?= v0.1.0
# "make bench" measures a peer beside Clarion if PEER names it and PEER_BIN its programs: see test/metallb.
# How many runs of each scenario "make bench" measures, and how many random histories of the allocator it checks.
RUNS ?= 5
CHECKS ?= 5000
# The tests that are also run on another Kubernetes.
SMOKE := ^(TestLoadBalancersAlone|TestPrometheusMayScrape|TestUpgradeAndDowngradeLoseNothing)$$
# Which of Kubernetes' own tests "make conformance" runs: a regular expression for their names.
SPECS ?=
# What "make chaos" does, and for how long; ROUND=7 begins with that round, WITHOUT=restore,power-off leaves kinds of faults out.
SEED ?= $(shell date +%s)
DURATION ?= 10m
ROUND ?= 0
WITHOUT ?=
# Unit tests run under the race detector, which needs a C compiler. "make test-unit RACE=" goes without.
RACE ?= 1
# The sizes of benchmarks that "make bench-start" leaves out, as go test -skip has them: those that take long.
LARGE := /(members|nodes|routes)=[0-9]{2,}|/(power-off|killed)/members=[0-9]{2,}|/members=5/busy=[1-9]|/10.*(routes|received)
# How long "make fuzz" has each fuzz target run.
FUZZTIME ?= 30s
# Which packages "make mutate" changes: those that decide, and the loops and controllers around them.
DECIDING := ./announce/bgp ./announce/election ./announce/liveness ./announce/plan ./internal/gossipkey ./internal/lastgood ./internal/migrate \
	./internal/scope ./internal/spelling ./loadbalancer
DOING := ./announce ./provider/announced ./provider/pools ./provider/withdrawal
PACKAGES ?= $(DECIDING) $(DOING)
# FIPS=1 builds with the cryptographic module of Go that is certified for FIPS 140-3, and uses it.
FIPS ?=
IMAGE ?= ghcr.io/clarionlb/clarion:$(VERSION)$(if $(FIPS),-fips)
PLATFORMS ?= linux/amd64 linux/arm64
# Those of the kubectl plugin. .krew.yaml names an archive for each.
PLUGIN_PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# What is built depends on the commit and the version alone, so that everybody who builds it gets the same bytes.
# Both are looked up once, so that all files of a release agree. With changes that are not committed, the revision ends in "-dirty".
REVISION := $(or $(REVISION),$(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown))
SOURCE_DATE_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 1))
# Without the request traces of gRPC (grpcnotrace), which nothing of ours shows, the linker leaves out what is not used: a third of both
# programs.
GO_BUILD = $(if $(FIPS),GOFIPS140=certified) go build -trimpath -buildvcs=false -tags grpcnotrace \
	-ldflags '-s -w -buildid= -X k8s.io/component-base/version.gitVersion=$(VERSION) -X k8s.io/component-base/version.gitCommit=$(REVISION)'
BINARIES = bin/platforms$(if $(FIPS),-fips)
RELEASE = cd test && go run ./cmd/release -version $(VERSION) -revision $(REVISION) -created $(SOURCE_DATE_EPOCH) \
	-platforms "$(PLATFORMS)" -plugin-platforms "$(PLUGIN_PLATFORMS)" -binaries $(CURDIR)/$(BINARIES)

# Tests and the test cluster link the same packages; one setting for both has them compiled once.
export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this help
	@sed -n 's/^\([a-z0-9.-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build the static binaries into bin/
	$(GO_BUILD) -o bin/ ./cmd/...

# The binaries of the image for all platforms, those of each in a folder of its own.
.PHONY: binaries
binaries:
	@for platform in $(PLATFORMS); do \
		echo "build $(if $(FIPS),with FIPS 140-3 )for $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO_BUILD) -o $(BINARIES)/$$platform/ ./cmd/announcer ./cmd/cloud-controller-manager || exit 1; \
	done

# Those of the plugin are in the same folders.
.PHONY: plugin-binaries
plugin-binaries:
	@for platform in $(PLUGIN_PLATFORMS); do \
		echo "build the plugin for $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO_BUILD) -o $(BINARIES)/$$platform/ ./cmd/kubectl-clarion || exit 1; \
	done

.PHONY: generate
generate: ## Regenerate deepcopy functions, CRDs and the client from api/, and docs/reference from the code
	tools/generate

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, and whether generated code is up to date
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || echo .)); \
		if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	@for module in $(MODULES); do \
		echo "lint: module $$module"; \
		(cd $$module && go vet ./... && $(GO_TOOL) staticcheck ./...) || exit 1; \
	done
	@echo "lint: generated code"
	@before=$$(find $(GENERATED) -type f | sort | xargs sha256sum); tools/generate; \
		after=$$(find $(GENERATED) -type f | sort | xargs sha256sum); \
		if [ "$$before" != "$$after" ]; then echo "generated code was out of date; it has been regenerated: commit it"; exit 1; fi

.PHONY: docs
docs: ## The documentation as a site into bin/site
	cd test && go run ./cmd/site $(CURDIR) $(CURDIR)/bin/site

.PHONY: packages
packages: ## Install the Debian packages that tests need (root, Debian)
	@cd test && go run ./cmd/packages

# Packages whose tests live in simulated time (testing/synctest) alone. The race detector of Go 1.26 can crash when timers of one bubble
# run on two processors (runtime.(*timer).unlockAndRun: they share bubble.timers.raceCtx), so these have one.
SIMULATED = $(shell for folder in $$(grep -rl '"testing/synctest"' --include='*_test.go' --exclude-dir=test . | xargs -n 1 dirname | sort -u); do \
	grep -q internal/netnstest $$folder/*_test.go || echo $$folder; done)

# Eight tests of a package run side by side, since they wait for routers most of the time.
.PHONY: test-unit
test-unit: ## Unit tests alone, as any user; tests that need root are skipped, and say so with -v. RACE= goes without the race detector
	@test -z "$(RACE)" || command -v gcc >/dev/null || { echo "the race detector needs gcc; make test-unit RACE= goes without it"; exit 1; }
	$(if $(RACE),CGO_ENABLED=1) $(GO_TEST_AS) pkgname -- $(if $(RACE),-race) -parallel 8 \
		$$(go list ./... | grep -vxF "$$(go list $(SIMULATED))")
	$(if $(RACE),CGO_ENABLED=1) $(GO_TEST_AS) pkgname -- $(if $(RACE),-race) -cpu 1 $(SIMULATED)

.PHONY: fuzz
fuzz: ## Every fuzz target, each for FUZZTIME
	@grep -ro --include='*_test.go' --exclude-dir=test '^func Fuzz[A-Za-z0-9]*' . | sed 's|/[^/]*:func | |' | sort | \
		while read -r package target; do \
			echo "fuzz: $$target of $$package"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done

# How many of the changes tests have to notice, in percent.
.PHONY: mutate
mutate: ## Mutation tests: which changes of the code do its own tests not notice? Hours; PACKAGES=./announce/election for one package
	@for package in $(PACKAGES); do \
		bound=95; case " $(DOING) " in *" $$package "*) bound=85;; esac; \
		echo "mutate: $$package, of which tests have to notice more than $$bound %"; \
		tools/mutate $$package $$bound || exit 1; \
	done

# Packages of the module test whose tests start no cluster. Those of the others have the machine to themselves, one package after the
# other: some of their tests fail if an answer is late.
WITHOUT_CLUSTER := ./chart ./dashboard ./release ./rights ./schema ./site

# The cache does not see the documents and manifests that the tests of the module test read.
.PHONY: test
test: packages lint test-unit bench-start ## Lint, unit tests, benchmarks once, end-to-end tests on a real control plane, and the guide on a kubeadm cluster (root, Debian)
	cd test/monitoring && go test -count=1 ./...
	cd test && $(GO_TEST) -count=1 $(WITHOUT_CLUSTER)
	cd test && $(GO_TEST) -count=1 -p 1 -timeout 50m $$(go list ./... | grep -vxF "$$(go list $(WITHOUT_CLUSTER))")

.PHONY: kubernetes-1.36
kubernetes-1.36: packages ## A few end-to-end tests on Kubernetes 1.36 (root, Debian)
	cd test && KUBERNETES=1.36 go test -v -count=1 -p 1 -timeout 50m -run '$(SMOKE)' ./e2e

.PHONY: kubeadm
kubeadm: packages ## Kubeadm clusters of all kinds: dual stack, defaults, iptables, no kube-proxy, BGP, a firewall, one node, a long outage (root, Debian)
	cd test && go test -v -count=1 -timeout 60m ./kubeadm -variants

.PHONY: conformance
conformance: packages ## All of Kubernetes' own tests of load balancers: layer 2 and BGP, IPv4 and IPv6 (root, Debian); SPECS=UDP for a few
	cd test && go test -v -count=1 -timeout 3h -run 'TestConformance$$' ./kubeadm -conformance -specs '$(SPECS)'

.PHONY: flood
flood: packages ## Packets at wire rate, valid ones and others, at a cluster (root, Debian)
	cd test && go test -v -count=1 -timeout 50m -run 'TestAFloodOfPacketsCostsNoAddress$$' ./e2e -flood

.PHONY: pictures
pictures: packages ## The pictures of the dashboard in docs/images, of a cluster that does not exist (Debian)
	cd test && go test -count=1 ./dashboard -run TestPictures -pictures $(CURDIR)/docs/images

.PHONY: demo
demo: ## The main job, end to end, on an embedded cluster (root, Debian); KEEP=1 leaves the cluster up
	cd test && go run ./demo $(if $(KEEP),--keep)

.PHONY: bench
bench: packages ## Benchmarks and a long model test, on a cluster too (root, Debian); RUNS=20 for more runs
	go test -run '^$$' -bench . -benchmem ./...
	go test -run AnyHistory ./loadbalancer -timeout 1h -rapid.checks=$(CHECKS)
	cd test && go test -run '^$$' -bench . -benchtime=$(RUNS)x -timeout 2h -v ./bench

.PHONY: bench-start
bench-start: packages ## Whether every benchmark of the product still runs: once each, without the large ones (root, Debian)
	go test -run '^$$' -bench . -benchtime 1x -skip '$(LARGE)' \
		$$(grep -rl --include='*_test.go' --exclude-dir=test '^func Benchmark' . | xargs -n 1 dirname | sort -u)

.PHONY: chaos
chaos: packages ## Faults at random on a cluster, several at once, while monitors watch (root, Debian); SEED=7 repeats a run, DURATION=1h
	cd test && go test -v -count=1 -timeout 48h ./chaos -seed=$(SEED) -duration=$(DURATION) -first=$(ROUND) -without=$(WITHOUT)

# A release has the images of both kinds, and a plugin that is of one kind alone.
release plugin: override FIPS :=

.PHONY: release
release: binaries plugin-binaries ## The files of a release into bin/: manifests, chart, images for all platforms, SBOMs, the plugin, checksums
	$(MAKE) binaries FIPS=1
	$(RELEASE) -fips-binaries $(CURDIR)/bin/platforms-fips $(CURDIR)/bin

.PHONY: plugin
plugin: plugin-binaries ## The archives of the kubectl plugin for all platforms into bin/, as .krew.yaml names them
	$(RELEASE) -only plugin $(CURDIR)/bin

.PHONY: image
image: build ## Build the container image with buildah, from the binaries; FIPS=1 for FIPS 140-3
	@command -v buildah >/dev/null || (apt-get update -qq && apt-get install -y -qq buildah)
	buildah --storage-driver vfs build --isolation chroot --timestamp $(SOURCE_DATE_EPOCH) --tag $(IMAGE) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg CREATED=$$(date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ) .

.PHONY: image-archive
image-archive: binaries ## The image for all platforms as a file for "ctr images import" and "podman load"; FIPS=1 for FIPS 140-3
	$(RELEASE) $(if $(FIPS),-fips) -only image $(CURDIR)/bin
