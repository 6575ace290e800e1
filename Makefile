# Every gate is a function of .ci/run; the targets give them short names.
.DEFAULT_GOAL := help
.PHONY: help test test-real test-noasm race fuzz generate docs check bench build-all dist

BENCH ?= .
FUZZ  ?= 60
PKG   ?= ./kernel ./quant ./nn

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' Makefile

test: ## all tests that need no outside data
	go test ./...

test-real: ## tests on real models and texts: set HONE_MODELS and HONE_DATA
	@test -n "$(HONE_MODELS)" -a -n "$(HONE_DATA)" || { echo "set HONE_MODELS and HONE_DATA (see CONTRIBUTING.md)"; exit 1; }
	.ci/run test_real

test-noasm: ## all tests on the portable kernels
	.ci/run test_noasm

race: ## race detector on the concurrent packages
	@for p in kernel engine serve store; do .ci/run race $$p || exit 1; done

fuzz: ## a minute of fuzzing in all; FUZZ=600 for ten
	.ci/run fuzz $(FUZZ)

generate: ## write the assembly again from kernel/_asm
	cd kernel/_asm && go run .

docs: ## write docs/cli again from the verbs
	rm -rf docs/cli && go run ./cmd/hone docs docs/cli

check: ## every gate, as CI runs them
	.ci/run

bench: ## Go benchmarks; BENCH=pattern PKG=packages
	go test -run '^$$' -bench '$(BENCH)' $(PKG)

build-all: ## static builds for the four platforms
	@for p in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
	  echo $$p; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go build -trimpath -o dist/$${p%/*}-$${p#*/}/ ./cmd/hone || exit 1; done

dist: ## packages of the four platforms into dist/, with digests and lists of parts; VERSION=1.0.0
	go run ./internal/dist -out dist $(if $(VERSION),-version $(VERSION))
