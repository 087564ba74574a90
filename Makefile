# `make demo` and `make test` do all the set-up they need, from a bare checkout on Debian.
SHELL := /bin/bash
UV_VERSION := 0.13.8
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# What the optics kernel and the simulated LED board are compiled with.
DEBIAN_PACKAGES := gcc libc6-dev make
# What the tests run the firmware of other boards with (2.5 GB, most of it the ARM compiler's libraries), compile the
# Arduino library with, and fuzz the firmware with; `make -C firmware fuzz` also wants afl++.
EMULATORS := gcc-avr avr-libc libsimavr-dev libelf-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
ARDUINO := g++
FUZZERS := clang libclang-rt-dev
# What reports are looked at with.
READERS := chromium poppler-utils

.PHONY: help setup demo test lint unit coverage docs lock clean
help:
	@echo "make demo      diagnose a slide on a simulated microscope and write reports"
	@echo "make test      linters, type checks and all tests"
	@echo "make lint      linters and type checks only"
	@echo "make unit      all tests, without linters"
	@echo "make coverage  all tests, and how much of the package they run (a third slower)"
	@echo "make docs      the documentation as a site, in out/site"
	@echo "make lock      compile requirements.lock again from pyproject.toml"
	@echo "make setup     what the others do first: environment in $(VENV), Debian packages"

setup: debian $(STAMP)

# $(1): packages, $(2): what is skipped without them.
define INSTALL
missing=""; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ] || ! command -v apt-get >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then as=""; elif sudo -n true 2>/dev/null; then as="sudo"; else \
	  echo "Not installed and not permitted here:$$missing. Skipped: $(2)."; \
	  echo "To have them: sudo apt-get install$$missing"; exit 0; fi; \
	echo "Installing Debian packages:$$missing"; \
	$$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
endef

.PHONY: debian debian-test
debian:
	@$(call INSTALL,$(DEBIAN_PACKAGES),the LED board's simulator and all that needs it; the optics runs on torch and is several times slower)

debian-test:
	@$(call INSTALL,$(EMULATORS) $(ARDUINO) $(FUZZERS) $(READERS),the tests of the AVR and ARM firmware and of the Arduino library and the fuzzing and those of reports in a browser)

# uv from PATH, or a private copy of it in .tools.
define UV
$$(command -v uv || echo .tools/bin/uv)
endef

.tools/bin/uv:
	@command -v python3 >/dev/null || { echo "python3 is missing: install Python 3.11 or newer"; exit 1; }
	@python3 -m venv .tools 2>/dev/null || { echo "python3 has no venv module: apt-get install python3-venv"; exit 1; }
	@.tools/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml hatch_build.py $(wildcard lsm/optics/_native/*.[ch])
	@command -v uv >/dev/null || $(MAKE) -s .tools/bin/uv
	@echo "Installing into $(VENV) (the first time several GB: PyPI's torch brings CUDA libraries)"
	@test -x $(PYTHON) || $(UV) venv -q --python ">=3.11" $(VENV)
	@$(UV) pip sync -q --python $(PYTHON) --require-hashes requirements.lock
	@$(UV) pip install -q --python $(PYTHON) --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup
	@$(VENV)/bin/lsm demo

lint: setup
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

# Tests that meet no clock take all cores; those that do mostly wait, and two at a time leave each other room.
unit: debian-test setup
	@$(PYTHON) -m pytest -rs -m "not timed" -n auto --dist loadfile
	@$(PYTHON) -m pytest -rs -m timed -n 2 --dist loadfile

test: lint unit

coverage: debian-test setup
	@$(PYTHON) -m pytest -rs -m "not timed" -n auto --dist loadfile --cov --cov-report= --cov-fail-under=0
	@$(PYTHON) -m pytest -rs -m timed -n 2 --dist loadfile --cov --cov-append --cov-report=term:skip-covered

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build -q
	@echo "Open out/site/index.html; its search needs a server: python3 -m http.server -d out/site"

lock:
	@command -v uv >/dev/null || $(MAKE) -s .tools/bin/uv
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --group dev pyproject.toml \
	  --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
