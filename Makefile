# Everything from a fresh clone: `make run` starts tidings, `make test` tests it.
# PY=python3.13 picks another interpreter; without it an existing .venv is kept as it is.
VPY := .venv/bin/python

.venv/.ok: pyproject.toml requirements-dev.txt .venv/.python
	$(VPY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(VPY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Rewritten only when the interpreter changes, which means a fresh environment.
.venv/.python: FORCE
	@if [ -z "$(PY)" ] && [ -x $(VPY) ] && [ -f $@ ]; then exit 0; fi; \
	version=$$($${PY:-python3} -c 'import sys; v = sys.version.split()[0]; sys.exit("tidings needs Python 3.11 or newer; this is " + v) if sys.version_info < (3, 11) else print(v)') || exit 1; \
	if [ "$$version" != "$$(cat $@ 2>/dev/null)" ]; then \
	  rm -rf .venv && $${PY:-python3} -m venv .venv && echo "$$version" > $@; fi

setup: .venv/.ok          ## set up .venv: server, tests, benchmarks; and what the tests need of the system
	@.ci/system

run: .venv/.ok            ## start the server from config.yaml
	.venv/bin/tidings serve

# What is compiled is kept, whatever the environment says: else each worker, and each server it starts, compiles all.
test test-browser test-cluster: export PYTHONDONTWRITEBYTECODE =

# Three at a time on two cores: they wait for servers and browsers that they have started for much of the time. In the
# order of tests/conftest.py, where long files are first; xdist would begin with those of many tests.
test: .venv/.ok           ## the test suite, but for what takes a browser
	$(VPY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/browser

test-browser: .venv/.ok   ## the pages, in Debian's Chromium
	$(VPY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/browser

test-cluster: .venv/.ok   ## the same suites on PostgreSQL and NATS, and what several nodes do
	$(VPY) -m pytest -q -n 2 --dist loadfile --cluster

test-plugins: .venv/.ok   ## wheels in clean environments: examples, new plugins, the tutorial
	$(VPY) -m pytest -q --dist loadfile tests/outside

test-benchmarks: .venv/.ok ## every benchmark with as little as it takes: whether it still runs
	$(VPY) -m pytest -q --dist loadfile tests/benchmarks

lint: .venv/.ok           ## ruff and mypy, strict
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

soak: .venv/.ok           ## slow campaigns: kill -9, fsync tracing, fuzzing, simulated months, new random examples
	$(VPY) -m pytest -q tests/soak --override-ini testpaths=tests/soak
	$(VPY) -m pytest -q -n 2 --dist loadfile --hypothesis-profile searching tests/properties \
	  $$(grep -rl --include='test_*.py' '@given' tests/core tests/plugins)

soak-nodes: .venv/.ok     ## three nodes under load, killed one after another; then the broker and the database
	$(VPY) tests/soak/nodes.py

docs: .venv/.ok           ## rewrite docs/reference from the code
	$(VPY) docs/generate.py

site: .venv/.ok           ## the documentation as a site in build/site, every warning an error
	.venv/bin/sphinx-build -q -n -W --keep-going -c docs -b html -d build/doctrees . build/site
	echo '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">' > build/site/index.html

lock: .venv/.ok           ## pin and hash the dependencies again
	$(VPY) -m pip install -q uv
	$(VPY) -m uv pip compile -q --universal --python-version 3.11 --extra dev --extra cluster --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade pyproject.toml -o requirements-dev.txt

help:                     ## list these targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:[^#]*## /\t/' | expand -t 17

export PY
FORCE:
.PHONY: setup run test test-browser test-cluster test-plugins test-benchmarks lint soak soak-nodes docs site lock help FORCE
