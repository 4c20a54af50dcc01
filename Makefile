# Heliostat: everything a person or CI does with this tree. `make` alone lists the targets.
# Each target may be called as root or as a user with sudo, without a terminal; sudo is used only where root is needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint format bench bench-peers install uninstall clean

# What a Debian machine needs beside the Swift toolchain, to build and to run the tests.
PACKAGES := libxdp-dev libbpf-dev libnuma-dev libpcap-dev libsqlite3-dev libssl-dev linux-libc-dev libc6-dev libstdc++-12-dev \
    zlib1g-dev pkg-config binutils gcc git curl ca-certificates python3 python3-venv openssl iproute2 iputils-ping \
    bpftool ethtool tcpdump tshark iperf3 util-linux procps valgrind
SWIFT_VERSION := 6.3
PREFIX ?= /usr/local
DESTDIR ?=
BIN := .build/release
# `make demo ARGS="--pcap demo.pcap"`; `make test ONLY="lint units"` (Tests/run lists them).
ARGS ?=
ONLY ?=

# Root by sudo only when we are not root; under `sudo make` what is built belongs to the user who called.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
CALLER := $(if $(ROOT),,$(filter-out root,$(SUDO_USER)))
CALLER_HOME := $(if $(CALLER),$(shell getent passwd $(CALLER) | cut -d: -f6),$(HOME))
# sudo forgets PATH, and Debian keeps sbin from users.
export PATH := $(PATH):$(CALLER_HOME)/.local/share/swiftly/bin:/usr/sbin:/sbin
AS_CALLER := $(if $(CALLER),sudo -H -u $(CALLER) env PATH="$(PATH)")

help: ## this list
	@printf 'Heliostat mirrors the frames of chosen ports to a monitor. Targets:\n\n'
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## install the Debian packages, the user heliostat, and look for the Swift toolchain
	@ROOT="$(ROOT)" AS_CALLER='$(AS_CALLER)' Scripts/setup $(SWIFT_VERSION) $(PACKAGES)

# One configuration for everything; the dependencies' hundreds of C files are not named one by one.
build: ## one release build, tests included
	$(AS_CALLER) swift build -c release --build-tests 2>&1 | sed -uE '/^\[[0-9/]+\] (Compiling [^ ]+\.(c|cc|S)|Write .*)$$/d'

demo: setup build ## mirror real frames in namespaces of its own and compare what arrives (about ten seconds)
	$(ROOT) $(BIN)/heliostat demo $(ARGS)

test: setup build ## lint, disassembly check, unit tests, the real clients of PyPI, and the promises on real namespaces
	@AS_CALLER='$(AS_CALLER)' Tests/run $(ONLY)

lint: ## swift-format and the plain checks of CONTRIBUTING.md
	@$(AS_CALLER) Scripts/lint

format: ## rewrite the Swift files as swift-format wants them
	@$(AS_CALLER) Scripts/format

bench: setup build ## the frame loop, and Heliostat beside its peers in one run (ARGS: Benchmarks/SideBySide/bench -h)
	$(AS_CALLER) $(BIN)/FrameLoop
	$(AS_CALLER) $(MAKE) -s -C Benchmarks/SideBySide/native
	$(ROOT) Benchmarks/SideBySide/bench $(if $(ARGS),$(ARGS),Benchmarks/.build/report)

bench-peers: ## fetch Open vSwitch and DPDK for `make bench` into Benchmarks/.build (nothing is installed)
	$(AS_CALLER) Benchmarks/SideBySide/install-peers Benchmarks/.build/peers

install: ## copy what was built, the Swift runtime it needs, systemd units and docs to PREFIX
	@Scripts/install "$(BIN)" "$(DESTDIR)" "$(PREFIX)"

uninstall: ## remove what install copied; the state directory stays
	@Scripts/install --remove "$(DESTDIR)" "$(PREFIX)"

clean: ## remove what was built
	rm -rf .build Benchmarks/.build
