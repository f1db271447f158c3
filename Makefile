# Bare `make` prints the targets.
.DEFAULT_GOAL := help
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help deps build run test lint bench bench-peers bench-go soak fuzz corpora clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the system libraries (libvips and what cgo needs); nothing when they are there
	@scripts/deps

build: deps ## build bin/assetmatrix
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/assetmatrix ./cmd/assetmatrix

run: build ## start everything in one process with a demo product, and print URLs to open
	@go build -trimpath -o bin/demo ./cmd/demo
	@scripts/run

test: deps lint ## vet, staticcheck, and every test with the race detector; installs a browser, nginx and Varnish, which some of them need
	@scripts/deps test
	go test -race ./...

lint: deps
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

bench: build ## the quick set of every scenario, in under ten minutes; figures beside their targets (docs/BENCHMARKS.md)
	@for scenario in hit render family burst mixed overload sync commits catalog matrix soak; do bin/assetmatrix bench $$scenario --quick || exit; done

bench-peers: build ## hits and renditions beside nginx and Varnish, and the servers at PEER_IMGPROXY and PEER_IMAGOR; ARGS=--quick
	@scripts/bench-peers $(ARGS)

bench-go: deps ## Go benchmarks of the hot paths, with allocations
	go test -run '^$$' -bench . -benchmem ./...

soak: deps ## the long forms of the crash tests: 200 kills, 25 power losses, a minute of readers, 1,000 rounds between edges
	ASSETMATRIX_SOAK=1 go test -timeout 60m -run 'TestKill|TestPowerLoss|TestTransactionsAreNeverMixed|TestReadYourWrites' -v . ./catalog

fuzz: deps ## each fuzz target for 30 seconds
	@scripts/fuzz 30s

corpora: deps ## download 1,700 files that fuzzers made to break decoders, and try each of them and Go's own
	GOFLAGS=-mod=mod go mod download github.com/dvyukov/go-fuzz-corpus@v0.0.0-20190920191254-c42c1b2914c7
	ASSETMATRIX_CORPORA=1 go test -timeout 30m -run TestCorpora -v ./transform

clean: ## remove bin/ and data/
	rm -rf bin data
