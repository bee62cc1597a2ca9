PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHAPTERS = $(wildcard chapters/*.ipynb)
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile # a chapter's cells stay together

.PHONY: help book check test lint claims serve pdf lab bench execute address lock clean
help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

$(VENV)/ready: requirements.txt pyproject.toml site/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -c "from nnbook_site.bundles import main; main()"
	touch $@

book: $(VENV)/ready ## execute the chapters that changed and build the site in _build/html
	$(BIN)/jupyter-book build . --all -W -n --keep-going -q

check: lint claims ## what needs no execution: lint, types, unit tests, stored claims, the site
	$(PYTEST) tests nnbook site

test: lint claims ## every check: those of `check`, all chapters executed, the site in a browser
	grep -v '^-r' requirements-lab.txt | $(BIN)/python -m pip install -q -r /dev/stdin
	$(PYTEST)

lint: $(VENV)/ready ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

claims: $(VENV)/ready ## the claims stored in the chapters hold
	@mkdir -p _build
	$(BIN)/python -m nnbook.claims > _build/claims.txt || { cat _build/claims.txt; exit 1; }

serve: book ## build, then show the site on http://127.0.0.1:8000
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pdf: book ## print the whole book into _build/nnbook.pdf
	$(BIN)/python -m nnbook_site.paper

lab: $(VENV)/ready ## open the chapters in JupyterLab
	$(BIN)/python -m pip install -q -r requirements-lab.txt
	$(BIN)/jupyter lab chapters

bench: $(VENV)/ready ## run the side-by-side timings of benchmarks/
	@for file in $(wildcard benchmarks/*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

execute: $(VENV)/ready ## run all chapters and store tidy outputs in them
	$(BIN)/python -m nnbook_site.execute $(CHAPTERS)

address: $(VENV)/ready ## make address URL=https://…: launch buttons, and chapters that install the library on Colab
	$(BIN)/python -m nnbook_site.address "$(URL)"

lock: ## resolve pyproject.toml anew into requirements.txt and requirements-lab.txt
	rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	_build/lock/bin/python -m pip install -q -e ./site -e '.[book,test]'
	_build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > _build/lock/base
	_build/lock/bin/python -m pip install -q -e '.[lab]'
	_build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > _build/lock/lab
	{ echo '# written by `make lock`'; cat _build/lock/base; echo '-e .'; echo '-e ./site'; } > requirements.txt
	{ echo '# written by `make lock`'; echo '-r requirements.txt'; \
	  grep -vxFf _build/lock/base _build/lock/lab; } > requirements-lab.txt

clean: ## remove what was built, but not .venv
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
