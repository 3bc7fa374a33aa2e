# Each command makes the environment by itself; when there is nothing to install, that takes a few hundredths of a second.
# Another interpreter: make PYTHON=python3.12 ...
# Options of a command: make reproduce ARGS="--preset gpu"
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON

.PHONY: help setup reproduce test lab docs pictures hooks gpu clean
.DEFAULT_GOAL := help

help:
	@echo 'make reproduce   data, training, evaluation, every table and figure into figures/ (about ten minutes on a laptop)'
	@echo 'make test        every notebook and the whole program, and how much of the package they cover'
	@echo 'make lab         JupyterLab, with the first notebook open'
	@echo 'make docs        a site of all chapters, results and the API: build/docs/site/index.html'
	@echo 'make pictures    stores the key picture of each chapter in its notebook, for readers on the web'
	@echo 'make hooks       git hooks that refuse a commit whose notebooks and package are out of step (not installed unasked)'
	@echo 'make gpu         everything that wants a GPU: preset gpu, weights, rehearsal of paper, benchmarks'
	@echo 'make setup       only the environment: .venv with everything installed'
	@echo 'make clean       removes the environment and what tests and builds left behind; keeps runs/, data/ and figures/'

setup:
	@scripts/setup.sh

reproduce: setup
	@posegen reproduce $(ARGS)

test: setup
	@scripts/test.sh $(ARGS)

lab: setup
	jupyter lab --config=scripts/jupyter_server_config.py --LabApp.default_url=/lab/tree/nbs/index.ipynb $(ARGS)

docs: setup
	@python -m pip --disable-pip-version-check --no-input --quiet install -r docs/requirements.txt -c constraints.txt
	@python scripts/build_docs.py $(ARGS)

pictures: setup
	@python scripts/keep_pictures.py $(ARGS)

hooks: setup
	@scripts/install_hooks.sh

# On a machine with an NVIDIA GPU. It can be cut off at any moment and called again. Some parts: make gpu ARGS="report weights"
gpu:
	@scripts/gpu.sh $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info figures/test figures/test-*
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -not -path './.git/*' -prune -exec rm -rf {} +
