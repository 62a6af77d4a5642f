# SPDX-License-Identifier: Apache-2.0
# `make` prints this menu.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
MACHINES_PYTEST := .venv-machines/bin/python -m pytest -c tests/machines/pytest.ini --rootdir .

help:  ## this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

dev: .venv/.dev  ## the virtualenv with everything that developing needs
.venv/.dev: constraints.txt constraints-dev.txt pyproject.toml
	./arbaro --version
	.venv/bin/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -r constraints-dev.txt
	touch $@

fmt: dev  ## format the code
	.venv/bin/ruff check --quiet --fix src tests benchmarks services
	.venv/bin/ruff format --quiet src tests benchmarks services

lint: dev  ## style, types, and who may import whom
	.venv/bin/ruff check src tests benchmarks ansible plugins services
	.venv/bin/ruff format --check --quiet src tests benchmarks services
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/vermin --quiet --no-tips --violations --target=3.9- plugins/l2isolate plugins/nova

unit: dev  ## unit tests: seconds, no root, no network
	$(PYTEST) tests/unit

engine: dev  ## playbooks by real Ansible, on this machine (no root)
	$(PYTEST) tests/engine

envs: dev  ## environments in real bash, zsh and fish, on fake clouds
	tests/install envs
	$(PYTEST) tests/envs -m 'not soak'
envs-soak: dev  ## 200,000 openrc files, by real bash and by us
	$(PYTEST) tests/envs -m soak

plugins: dev .venv-machines/.dev  ## plug-ins inside real neutron and nova (root, for what it installs and for namespaces)
	tests/install plugins
	/usr/bin/python3 -m pytest tests/plugins/release
	/usr/bin/python3 -m pytest tests/plugins/l2isolate
	tests/plugins/nova/run
	/usr/bin/python3 -m pytest tests/plugins/machines_driver

machines: .venv-machines/.dev  ## the physical-machine service: its API, its workers, emulated BMCs (no root)
	$(MACHINES_PYTEST) tests/machines/unit tests/machines/service tests/machines/emulated
machines-live: .venv-machines/.dev  ## the same with real ramdisk and disks, in emulated machines (root)
	tests/install machines-live
	.venv-machines/bin/python -m tests.machines.live.recipes
	tests/machines/live/in-own-namespaces $(MACHINES_PYTEST) -s tests/machines/live
.venv-machines/.dev: services/machines/pyproject.toml services/machines/constraints.txt
	tests/install machines
	/usr/bin/python3 -m venv .venv-machines
	.venv-machines/bin/pip install --quiet --no-compile --disable-pip-version-check -c services/machines/constraints.txt -e 'services/machines[service,test]'
	touch $@

live: dev  ## live tests: a real cloud, made by our own command (root; KEEP=1 keeps it)
	$(PYTEST) tests/live -m 'not soak' $(if $(KEEP),--keep)
live-soak: dev  ## the longer ones of them (root)
	$(PYTEST) tests/live -m soak

prepare: dev .venv-machines/.dev  ## what suites fetch by pip, so that they need not wait for it
	tests/plugins/nova/run fetch

images: dev  ## all images that live tests need
	./arbaro images build machines

test: ## all tests: what needs no cloud beside the bakes, then live; tells the minutes of each
	/usr/bin/python3 tests/run.py test

soak: ## what is heavy and seldom breaks; tells when it was last run (benchmarks/soak.md)
	/usr/bin/python3 tests/run.py soak

bench: dev  ## the benchmarks' tables
	$(PYTHON) benchmarks/up.py
	$(PYTHON) benchmarks/env.py
	/usr/bin/python3 benchmarks/network.py

wheel: dev  ## the installable packages, in dist/: the tool, and the plug-ins for any other cloud
	.venv/bin/pip wheel --quiet --no-deps --wheel-dir dist . ./plugins/nova ./plugins/l2isolate

deb: wheel  ## the plug-in for any other nova on Debian, in dist/
	plugins/deb dist/arbaro_nova-*.whl dist python3-nova

.PHONY: help dev fmt lint unit engine envs envs-soak plugins machines machines-live live live-soak prepare images test soak bench wheel deb
