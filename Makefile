# Every target sets up what it needs first; Python 3.11 or newer and make are enough.
# The first of these that is new enough is used: the machine's own choice before the others.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
BOOK ?= book
TARGET_DATE ?= 2010-12-31

# Modules are run with -m because the scripts in .venv/bin stop working when the folder is moved.
PY := .venv/bin/python
BILLFOLD := $(PY) -m billfold --book $(BOOK)

# Each candidate is run, not just looked up: a version manager's stand-in is on PATH without a Python behind it.
define SET_UP
@for python in $(PYTHON); do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		exec $$python tools/bootstrap.py $(1); \
	fi; \
done; \
echo 'billfold set-up: Python 3.11 or newer is needed, and none of these is: $(PYTHON); install one or name it with make PYTHON=...' >&2; \
exit 1
endef

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-bench bill-run notebooks nightly test lint format-check types programs unit format reference readme crashes laws bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

setup:
	$(call SET_UP)

setup-dev:
	$(call SET_UP,--dev)

# Exit code 3 says that the run is committed and some accounts are parked for review, as in the sample book.
bill-run: setup ## make the sample book in BOOK if it is not there, and run its bills to TARGET_DATE
	@if test ! -e "$(BOOK)"; then \
		set -ex; \
		$(BILLFOLD) init; \
		$(BILLFOLD) load data/online_retail || { set +x; \
			echo 'billfold: loading failed and left $(BOOK) incomplete; remove that folder before the next make bill-run.' >&2; exit 1; }; \
	fi
	$(BILLFOLD) run --target-date $(TARGET_DATE) --invoice-date $(TARGET_DATE) --post || test $$? -eq 3
	@echo; echo 'Here, billfold is .venv/bin/billfold$(if $(filter-out book,$(BOOK)), --book $(BOOK)).'

notebooks: setup-dev ## open the notebooks about the book in BOOK in a browser
	BILLFOLD_BOOK=$(BOOK) $(PY) -m marimo run notebooks

nightly: setup-dev ## start Dagster with the nightly run of the book in BOOK
	BILLFOLD_BOOK=$(BOOK) $(PY) -m pipelines

test: lint format-check types unit ## run every check

lint: setup-dev ## check the code with ruff
	$(PY) -m ruff check .

format-check: setup-dev ## check the formatting
	$(PY) -m ruff format --check .

types: setup-dev ## check the types with mypy
	$(PY) -m mypy

# Tests of pages, of PDF files and of books on servers are skipped where these are missing, except in CI.
programs: ## install Chromium, poppler and PostgreSQL, which tests need, where they are missing and apt-get may
	@if command -v chromium >/dev/null && command -v pdftoppm >/dev/null \
		&& { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1; then exit 0; fi; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium poppler-utils postgresql >/dev/null && exit 0; \
	fi; \
	echo 'chromium, pdftoppm (poppler-utils) or initdb (postgresql) is missing: tests that need them are skipped.' >&2; \
	test -z "$$CI"

unit: setup-dev programs ## run the tests
	$(PY) -m pytest --numprocesses auto --dist worksteal

format: setup-dev ## format the code and mend what ruff can mend safely
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

reference: setup-dev ## write docs/tables.md from the contracts
	$(PY) tools/make_reference.py

readme: setup-dev ## put what the commands in README.md and docs/ print now under them
	$(PY) tests/test_docs.py

crashes: setup-dev ## kill 200 runs over 50,000 accounts at random moments, let 50 pairs of runs meet, and take 20,000 random steps
	KILLS=200 KILL_ACCOUNTS=50000 TRIES=50 MACHINE=10 $(PY) -m pytest -s tests/test_crashes.py tests/test_machine.py

laws: setup-dev ## look at twenty times as many made-up books as make test does, and at others every time
	LAWS=20 $(PY) -m pytest --numprocesses auto --dist worksteal $$(grep -l hypothesis tests/test_*.py)

setup-bench:
	$(call SET_UP,--bench)

bench: setup-bench ## run the benchmarks
	$(PY) -m benchmarks

clean: ## remove what the targets made, except books
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find src tests tools benchmarks pipelines notebooks -name __pycache__ -type d -exec rm -rf {} + 2>/dev/null || true
