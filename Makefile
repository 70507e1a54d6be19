# Needs make and Python 3.11+, nothing else. `make` alone lists what there is.
#
# Set-up is tools/setup_env.py: every target that needs the environment runs it, and it returns at once when .venv is
# ready. Variables:
#   PYTHON=/path/to/python3.12   build .venv with this interpreter
#   VENV=/other/disk/venv        keep the environment elsewhere
#   TORCH=cpu                    on Linux, the small build of torch (no CUDA)
#   ARGS="..."                   passed on to the command of the target

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV ?= $(CURDIR)/.venv
PY := $(VENV)/bin/python
ARGS ?=
PYTHON ?=
TORCH ?=

# Any Python can run the set-up script far enough to say that it is too old.
STARTER := $(or $(PYTHON),$(shell command -v python3 2>/dev/null || command -v python 2>/dev/null))
SETUP = "$(STARTER)" tools/setup_env.py --venv "$(VENV)" \
	$(if $(PYTHON),--python "$(PYTHON)") $(if $(TORCH),--torch "$(TORCH)")

.PHONY: help setup have-python lab fresh test check notebooks chapter data bench site gpu-check sim tools scale clean distclean

help:  ## list the commands
	@echo "Meta-RL Lab. First time here: make lab"
	@echo
	@sed -n 's/^\([a-z-]*\):.*##  */\1|/p' Makefile | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

have-python:
	@if [ -z "$(STARTER)" ]; then \
	  echo "Set-up stopped: no Python was found. Install Python 3.11 or newer (https://www.python.org/downloads/),"; \
	  echo "or name one: make lab PYTHON=/path/to/python3.12"; exit 1; fi

setup: have-python  ## create or repair .venv (every other command does this first)
	@$(SETUP)

lab: setup  ## open your copies of the chapters (ARGS=--no-browser, --port=9000, --author)
	@"$(PY)" tools/lab.py $(ARGS)

fresh: setup  ## start a chapter over (ARGS=05); your copy of it is kept in work/earlier/
	@"$(PY)" tools/work.py fresh $(ARGS)

test: setup  ## everything CI runs: format, lint, types, tests, every chapter, the site, the browser
	@METARL_SITE_VENV="$(VENV)-site" "$(PY)" tools/ci.py $(ARGS)

check: setup  ## format, lint, types, layers: under a minute
	@"$(PY)" tools/ci.py check

notebooks: setup  ## text -> executed notebooks (ARGS="00 03" for some of them)
	@"$(PY)" tools/notebooks.py build $(ARGS)
	@"$(PY)" tools/chapters.py links

chapter: setup  ## start a chapter (ARGS='20 games "Game AI"'): text, folder, test, its line in the index
	@"$(PY)" tools/chapters.py new $(ARGS)

data: setup  ## remake the stored agents and results in data/ (long; ARGS selects)
	@"$(PY)" tools/data.py $(ARGS)

bench: setup  ## env steps per second and seconds per meta-iteration
	@"$(VENV)/bin/metarl" bench $(ARGS)

gpu-check: setup  ## the tests that need a CUDA device
	@"$(PY)" -m pytest -m gpu tests $(ARGS)

site: have-python  ## build the book as a static site in site/, from stored outputs
	@"$(STARTER)" tools/setup_env.py --venv "$(VENV)-site" --extras site $(if $(PYTHON),--python "$(PYTHON)")
	@"$(VENV)-site/bin/python" tools/book.py $(ARGS)

sim: have-python  ## add the simulators: MuJoCo, Meta-World, highway-env, MiniGrid, simglucose
	@$(SETUP) --extras dev,sim

tools: have-python  ## add Stable-Baselines3
	@$(SETUP) --extras dev,tools

scale: have-python  ## add Ray
	@$(SETUP) --extras dev,scale

clean:  ## remove caches and build leftovers (keeps .venv, work/, runs/ and data/)
	@rm -rf .mypy_cache .pytest_cache .ruff_cache build dist site docs/_build .jupyter
	@find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@find . -name '.venv*' -prune -o -path ./work -prune -o -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove the environments too
	@rm -rf "$(VENV)" "$(VENV)-site" "$(VENV).lock" "$(VENV)-site.lock"
