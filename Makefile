# make demo    segment a phantom, or your scan: make demo INPUT=scan.nii.gz OUTPUT=folder
# make test    run the tests
# make venv    only make .venv (the other targets make it when it is missing)
# make study   compare the recipes with equal budget and write FlareTrain/STUDY.md; goes on where it was
# make measure everything a new bundled model needs: scores, benchmark, and the pages that state them
# make lint, make bench, make screenshots, make train

PYTHON ?= python3
OUTPUT ?= demo
SEED   ?= 1
# RUN is gone on with if it was begun.
DATA    ?= ../shared/data
RUN     ?= runs/base
MINUTES ?= 120
STUDY_RUN ?= runs/study
export PYTHON INPUT OUTPUT SEED DATA RUN MINUTES TRAIN_ARGS STUDY_RUN STUDY_ARGS

# Relative, so that a checkout in a folder with spaces in its path works.
VENV_PYTHON = .venv/bin/python
PINS  = requirements/pinned.txt
# Written last, so that an interrupted installation is not taken for a complete one.
STAMP = .venv/complete

export PYTHONPATH := $(CURDIR)/FlareSegment:$(CURDIR)/FlareTrain
export PYTHONUTF8 := 1

.PHONY: help venv demo test lint format bench measure screenshots train study
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make/make/p' Makefile

venv:
	@cmp -s $(PINS) $(STAMP) || PYTHON="$$PYTHON" bash requirements/make_venv.sh

demo: venv
	@bash requirements/demo.sh

test: venv
	@$(VENV_PYTHON) -m pytest $(PYTEST_ARGS)

lint: venv
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy

format: venv
	@$(VENV_PYTHON) -m ruff check --fix .
	@$(VENV_PYTHON) -m ruff format .

bench:
	@PYTHON="$$PYTHON" bash Testing/Benchmarks/bench.sh $(BENCH_ARGS)

# E.g. MEASURE_ARGS="--plan" or "--again training -- --runs 1".
measure: venv
	@$(VENV_PYTHON) Testing/measure.py $(MEASURE_ARGS)

screenshots: venv
	@$(VENV_PYTHON) Testing/screenshots.py $(SCREENSHOT_ARGS)
	@$(VENV_PYTHON) Testing/scan_pictures.py

train: venv
	@$(VENV_PYTHON) -m FlareTrainLib base --data "$$DATA" --run "$$RUN" --minutes "$$MINUTES" $$TRAIN_ARGS

study: venv
	@$(VENV_PYTHON) -m FlareTrainLib study --data "$$DATA" --out "$$STUDY_RUN" \
		--page FlareTrain/STUDY.md $$STUDY_ARGS
