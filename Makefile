# One virtual environment, made on first use, made again when pyproject.toml changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Where torch comes from, if not from where pip looks: see docs/gpu.md. Remembered until another address is given, or
# none by `make install TORCH_INDEX=`. Pip is content with any build of the pinned release, so the present one goes first.
TORCH_FROM := $(VENV)/.torch-index
TORCH_FROM_NOW := $(shell cat $(TORCH_FROM) 2>/dev/null)
TORCH_INDEX ?= $(TORCH_FROM_NOW)
TORCH_PINS = $(shell sed -n 's/^ *"\(torch\(audio\)*==[^"]*\)",.*/\1/p' pyproject.toml)
ifneq ($(strip $(TORCH_INDEX)),$(strip $(TORCH_FROM_NOW)))
.PHONY: $(READY)
endif
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help install demo dev test test-ui lint quick check bench faults clean
help:
	@echo "make demo   a synthetic corpus through the whole graph, up to a judged model (a few minutes)"
	@echo "make dev    web UI and daemon on 127.0.0.1, state under BEATSIGHT_DATA_ROOT (default ./data)"
	@echo "make quick  the tests that neither load torch nor start a process, before every commit (a minute)"
	@echo "make lint   ruff and mypy"
	@echo "make test   environment, lint, all tests but the longest"
	@echo "make test-ui  the reports in a headless Chromium (chromium or google-chrome on the path); screenshots in ui-screenshots/"
	@echo "make install TORCH_INDEX=ADDRESS  with the torch of another index, as for an older driver: see docs/gpu.md"
	@echo "make bench  every target measured on this machine (10 minutes or more); ONLY=export,health for some rows,"
	@echo "            ONLY=gpu for what a GPU does (8 minutes), GPU_LINES=gpu.jsonl for a run of that on another machine"
	@echo "make faults kills, full drives, rot, nonsense: all of the fault harness, and the longest tests"
	@echo "            (an hour and a half); ONLY=kills for some of the harness"
	@echo "make clean  remove the virtual environment and the caches of the tools (never data)"

install: $(READY)

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
ifneq ($(strip $(TORCH_INDEX)),$(strip $(TORCH_FROM_NOW)))
	$(PIP) uninstall --yes torch torchaudio
	@echo "$(strip $(TORCH_INDEX))" > $(TORCH_FROM)
endif
ifneq ($(strip $(TORCH_INDEX)),)
	$(PIP) install --index-url "$(strip $(TORCH_INDEX))" $(TORCH_PINS)
endif
	$(PIP) install -e ".[dev]"
	$(BIN)/python -m beatsight_dagster.instance --flagless >/dev/null   # so that `dagster asset materialize` needs no -m
	@touch $@

demo: $(READY)
	$(BIN)/beatsight demo demo-data

dev: $(READY)
	$(BIN)/beatsight dev

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick: $(READY)
	$(BIN)/pytest --quick

# A process a core, two at most: more of them wait for each other's memory and drives.
check: $(READY)
	$(BIN)/pytest --numprocesses 2

test: lint check

# Without a browser these tests are skipped.
test-ui: $(READY)
	$(PIP) install -e ".[ui]"
	UI_SHOTS=ui-screenshots $(BIN)/pytest tests/ui -m ui -rs

# Wants an idle machine. The first time it makes its corpus, which the row gpu does without: 4 GB in benchmarks/data.
bench: $(READY)
	$(BIN)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY)) $(if $(GPU_LINES),--gpu-lines $(GPU_LINES))

# Works in memory, and writes its results into docs/reliability.md. Then come the tests that make test leaves out.
faults: $(READY)
	$(BIN)/python -m tests.faults --report docs/reliability.md $(if $(ONLY),--only $(ONLY))
	$(if $(ONLY),,$(BIN)/pytest -m long)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
