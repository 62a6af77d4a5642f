# SPDX-License-Identifier: Apache-2.0
# `make` prints this menu.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

help:  ## this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

dev: .venv/.dev  ## the virtualenv with everything that developing needs
.venv/.dev: constraints.txt constraints-dev.txt
	./arbaro --version
	.venv/bin/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -r constraints-dev.txt
	touch $@

fmt: dev  ## format the code
	.venv/bin/ruff check --quiet --fix src tests benchmarks
	.venv/bin/ruff format --quiet src tests benchmarks

lint: dev  ## style, types, and who may import whom
	.venv/bin/ruff check src tests benchmarks ansible plugins
	.venv/bin/ruff format --check --quiet src tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

unit: dev  ## unit tests: seconds, no root, no network
	$(PYTEST) tests/unit

envs: dev  ## environments in real bash, zsh and fish, on fake clouds (apt-get install zsh fish)
	$(PYTEST) tests/envs

plugins:  ## plug-ins inside Debian's real neutron, with real taps and rules (root, for what it installs and for namespaces)
	tests/plugins/install
	/usr/bin/python3 -m pytest tests/plugins/l2isolate

live: dev  ## live tests: a real cloud, made by our own command (root; KEEP=1 keeps it)
	$(PYTEST) tests/live -m 'not soak' $(if $(KEEP),--keep)

test: lint unit envs plugins live  ## all tests

soak: dev  ## longer tests: kill it at many moments, start it over and over
	$(PYTEST) tests/live -m soak

bench: dev  ## the benchmarks' tables
	$(PYTHON) benchmarks/up.py
	$(PYTHON) benchmarks/env.py
	/usr/bin/python3 benchmarks/network.py

wheel: dev  ## the installable package, in dist/
	.venv/bin/pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: help dev fmt lint unit envs plugins live test soak bench wheel
