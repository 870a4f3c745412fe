# Everything a newcomer or CI runs. `make` lists the targets.

VENV := .venv
# What benchmarks compare with and must not be mixed with it.
PEERS := .venv-peers
# openpi-client, which wants another numpy than everything else.
OPENPI := .venv-openpi
# The real LeRobot, which wants Python 3.12, and the zarr of diffusion_policy, which wants 3.10 or older.
LEROBOT := .venv-lerobot
REPLAY := .venv-replay
# $(call python,3.12): an interpreter of this version, nothing when there is none.
python = $(shell for found in python$(1) $$HOME/.pyenv/versions/$(1).*/bin/python; do \
	"$$found" -c '' 2>/dev/null && echo "$$found" && break; done)
PYTHON := $(VENV)/bin/python
# Inside the environment: whoever removes it starts over, whoever interrupts it goes on where it stopped.
STAMPS := $(VENV)/stamps
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input -qq
SAY := @printf '%s\n'

MSGS := ros2_ws/src/rove_msgs
MSGS_SOURCES := $(wildcard $(MSGS)/msg/*.msg $(MSGS)/srv/*.srv $(MSGS)/wheel/*) \
	$(MSGS)/CMakeLists.txt $(MSGS)/package.xml $(MSGS)/pyproject.toml
# What an editable install copies instead of linking.
PACKAGE_FILES := $(wildcard setup.py package.xml shims/* launch/*.launch.py bundles/*/* \
	ros2_ws/src/*/setup.py ros2_ws/src/*/package.xml ros2_ws/src/*/shims/*)
REQUIREMENTS := requirements/lock.txt requirements/build.txt requirements/sim.txt requirements/dev.txt

# A shell in which another ROS 2 or another environment with ROS wheels is set up would leak it into this one.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH PYTHONHOME
ifneq ($(ROS_DISTRO)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport LD_LIBRARY_PATH
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-torch demo test test-unit test-integration test-system test-interop test-export test-torch test-trainer test-soak bundle figures lint type format bench bench-peers openpi lerobot replay docker-lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' Makefile

setup: $(STAMPS)/ready ## make .venv with everything at pinned versions (resumes where it stopped)

demo: setup ## three attempts of "erase the whiteboard" with a takeover; report in runs/demo/report.html
	$(VENV)/bin/rove deploy --robot sim --task whiteboard --policy bundles/whiteboard \
		--operator scripted:typical --episodes 3 --out runs/demo --seed 1 --report

test: setup ## every test but those that need torch
	$(PYTHON) -m pytest -n auto test/unit test/integration test/system

test-unit: setup ## no ROS, on all cores
	$(PYTHON) -m pytest -n auto test/unit

test-integration: setup ## real rclpy over real DDS
	$(PYTHON) -m pytest test/integration

test-system: setup ## the shipped deployment as processes, episodes on disk
	$(PYTHON) -m pytest test/system

test-interop: setup openpi lerobot replay ## our clients and files against the real packages of other projects
	$(PYTHON) -m pytest test/interop

test-export: setup ## exports over ssh and S3, each interrupted ten times; prints a table
	ROVE_EXPORT_INTERRUPTIONS=10 $(PYTHON) -m pytest -rs test/unit/rove_recorder/export/test_interrupted.py

test-torch: setup setup-torch ## torch backends and the ROVE actor, tiny and with random weights; installs torch
	@$(PIP) install -r requirements/actor.txt
	$(PYTHON) -m pytest test/torch

test-trainer: setup setup-torch ## the trainer's tests; installs torch
	$(PYTHON) -m pytest test/trainer

test-soak: setup ## a recorder killed KILLS=200 times at random moments (minutes); prints what each kill cost
	$(PYTHON) -m pytest test/unit/rove_recorder/test_kill_sweep.py --kills $(or $(KILLS),200) -s \
		--timeout 7200 -o faulthandler_timeout=7200

bundle: setup setup-torch ## the demo policies from nothing: demonstrations, training, evaluation (an hour or two)
	$(PYTHON) -m rove_trainer.make_bundle --task whiteboard
	$(PYTHON) -m rove_trainer.make_bundle --task toaster

lint: setup ## ruff and codespell
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/codespell

type: setup ## mypy --strict
	$(VENV)/bin/mypy

format: setup ## let ruff write the layout and the safe fixes
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

figures: setup ## what docs/ shows of a takeover: measures for ten minutes, then draws
	@$(PIP) install -r requirements/docs.txt
	$(VENV)/bin/rove bench takeover --json > runs/takeover.json
	$(PYTHON) scripts/takeover_figures.py runs/takeover.json docs/images

bench: setup ## the figures of the performance budget, as JSON
	$(VENV)/bin/rove bench filter retarget loop --json

bench-peers: setup openpi ## dex-retargeting and openpi-client, for `rove bench retarget policy` to compare with
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --no-input -qq install -r requirements/peers.txt

openpi:
	@test -x $(OPENPI)/bin/python || $(PYTHON) -m venv $(OPENPI)
	@$(OPENPI)/bin/python -m pip --disable-pip-version-check --no-input -qq install -r requirements/openpi.txt

# No Python of the right version is no error: the tests that need it say that they are skipped.
lerobot: ## the real LeRobot in .venv-lerobot, gigabytes (Python 3.12)
	@test -x $(LEROBOT)/bin/lerobot-info || test -z "$(call python,3.12)" || { \
		"$(call python,3.12)" -m venv $(LEROBOT) && \
		$(LEROBOT)/bin/python -m pip --disable-pip-version-check --no-input -qq install -r requirements/lerobot.txt; }

replay:
	@test -x $(REPLAY)/bin/python || test -z "$(call python,3.10)" || { \
		"$(call python,3.10)" -m venv $(REPLAY) && \
		$(REPLAY)/bin/python -m pip --disable-pip-version-check --no-input -qq install -r requirements/replay.txt; }

docker-lint: setup ## hadolint; docker/rehearse.sh goes through the steps without an engine
	$(VENV)/bin/hadolint --config docker/hadolint.yaml docker/*.Dockerfile

clean: ## remove what the targets made, but not runs/
	rm -rf $(VENV) build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info ros2_ws/src/*/*.egg-info

# Set-up, step by step. Each stamp is newer than what it was made from.

setup-torch: $(STAMPS)/torch

$(STAMPS)/venv:
	$(SAY) "[1/5] virtual environment $(VENV)"
	@sh scripts/system_packages.sh build
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		$$(sh scripts/system_packages.sh python) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/packages: $(STAMPS)/venv $(REQUIREMENTS)
	$(SAY) "[2/5] Python packages at pinned versions (a minute or two)"
	@$(PIP) install -r requirements/build.txt -r requirements/dev.txt
	@touch $@

$(STAMPS)/rove_msgs: $(STAMPS)/packages $(MSGS_SOURCES)
	$(SAY) "[3/5] building rove_msgs (half a minute)"
	@rm -rf $(VENV)/wheels
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PIP) wheel --no-build-isolation --no-deps -w $(VENV)/wheels ./$(MSGS)
	@$(PIP) install --no-deps --force-reinstall $(VENV)/wheels/rove_msgs-*.whl
	@touch $@

$(STAMPS)/editable: $(STAMPS)/rove_msgs $(PACKAGE_FILES)
	$(SAY) "[4/5] the packages of this repository, editable"
	@$(PIP) install --use-pep517 --no-build-isolation --no-deps -e . -e ros2_ws/src/rove_description -e ros2_ws/src/rove_sim
	@touch $@

$(STAMPS)/ready: $(STAMPS)/editable
	$(SAY) "[5/5] off-screen rendering"
	@sh scripts/system_packages.sh gl
	@touch $@

$(STAMPS)/torch: $(STAMPS)/ready requirements/torch.txt trainer/pyproject.toml
	$(SAY) "[+] torch and the trainer, for their tests and for training the demo policy"
	@$(PIP) install -r requirements/torch.txt
	@$(PIP) install --use-pep517 --no-build-isolation --no-deps -e trainer
	@touch $@
