# Two commands need nothing but Python 3.11 or newer:
#
#   make demo   see the main job work against a sandbox on this machine
#   make test   lint, types with mypy, and the tests against the wheel that would ship
#
# Both build .venv from the hashed lock in requirements/dev.txt, once; `make clean` removes it.
#
# `make test-clients` and `make test-deep` add what needs more packages, and what takes minutes; `make bench` and
# `make bench-quick` measure what it costs.

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed

# Directories count too, so that a deleted file is noticed. `docs/.`, because `docs` is a target here.
SOURCES := $(shell find blnk_auth docs/. -name __pycache__ -prune -o -print) pyproject.toml hatch_build.py README.md LICENSE

CLIENTS := $(VENV)/clients
CLIENT_PIP := $(CLIENTS)/bin/python -m pip --disable-pip-version-check --no-input --quiet
NIQUESTS := $(VENV)/niquests
NIQUESTS_PIP := $(NIQUESTS)/bin/python -m pip --disable-pip-version-check --no-input --quiet
SITE := $(VENV)/site
SITE_PIP := $(SITE)/bin/python -m pip --disable-pip-version-check --no-input --quiet
AUDIT := $(VENV)/audit
AUDIT_PIP := $(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input --quiet
BENCH := $(VENV)/bench
BENCH_PIP := $(BENCH)/bin/python -m pip --disable-pip-version-check --no-input --quiet
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

# The tests run on the installed wheel: neither the checkout nor anybody's PYTHONPATH may come before it,
# in pytest or in the processes that tests start.
unexport PYTHONPATH
export PYTHONSAFEPATH := 1
# pytest keeps the byte code of tests, whose asserts it rewrites. Without it, each of its processes does this again.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.PHONY: demo test unit coverage snapshots test-clients test-niquests test-deep chaos fuzz test-pythons test-lowest lint types docs docs-serve audit sbom licences pictures release bench bench-quick bench-sandbox lock clean

demo: $(INSTALLED)
	@$(BIN)/blnk-auth demo

# Four processes, because many tests wait for sockets, disks and other processes, and one that has nothing left to do
# takes from the others; one after another with PYTEST_FLAGS=-n0. mypy checks the types meanwhile.
test: lint $(INSTALLED)
	@echo "The types are checked beside the tests; what is wrong with them is printed at the end."
	@$(BIN)/mypy >$(VENV)/types.log 2>&1 & types=$$!; \
	trap 'kill $$types 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	BLNK_AUTH_TEST_WHEEL=1 $(BIN)/pytest -n4 --dist=worksteal $(PYTEST_FLAGS); tests=$$?; \
	wait $$types || { cat $(VENV)/types.log; exit 1; }; \
	exit $$tests

# What needs neither a socket nor a process, against this checkout: in seconds, while you write. tests/quick.txt lists it.
unit: $(LOCKED)
	@PYTHONPATH=$(CURDIR) $(BIN)/pytest -n2 --dist=worksteal @tests/quick.txt -m "not real and not deep" $(PYTEST_FLAGS)

# The branches that the tests leave out, of unit tests, scenarios, providers and stores, in one process, on this checkout.
coverage: $(LOCKED)
	@PYTHONPATH=$(CURDIR) $(BIN)/coverage run -m pytest -n0 tests/unit tests/scenarios tests/providers \
	  tests/stores tests/simulation $(PYTEST_FLAGS)
	@$(BIN)/coverage report

# Writes again what tests compare: every public name, every error message, the tests of each known failure, the pictures
# of docs/explanation/, and the generated parts of docs/reference/; and docs/llms.txt. Look at the difference before you
# commit it.
snapshots: $(LOCKED)
	@for script in tests/unit/test_public_surface.py tests/support/messages.py tests/support/failures.py \
	  tests/support/architecture.py tests/support/diagrams.py tests/support/reference.py tools/llms.py; do \
	  PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python $$script || exit 1; done

# The same wheel inside other people's clients, and against an authorization server and conformance suites from npm.
test-clients: $(CLIENTS)/.installed test-niquests
	@BLNK_AUTH_TEST_WHEEL=1 $(CLIENTS)/bin/pytest -n2 tests/clients tests/real_server tests/conformance -o faulthandler_timeout=600 $(PYTEST_FLAGS)

# Every scenario once more, through niquests and httpxyz, where urllib3-future has taken the place of urllib3. niquests
# warns where a test has a server whose name no certificate can have. The pytest plugin of httpxyz would take the name
# of httpx before any test begins.
test-niquests: $(NIQUESTS)/.installed
	@BLNK_AUTH_TEST_WHEEL=1 BLNK_AUTH_TEST_FORKS=1 $(NIQUESTS)/bin/pytest -n2 tests/forks tests/scenarios \
	  -k "niquests or httpxyz" -p no:httpxyz -W "ignore:Unverified HTTPS request" $(PYTEST_FLAGS)

# What takes minutes: the deeper simulation, hundreds of kills, many grants, the bill of materials, and the conformance
# suites with several processes and kills, for which npm installs them.
test-deep: $(INSTALLED) $(AUDIT)/.locked
	@BLNK_AUTH_TEST_WHEEL=1 $(BIN)/pytest -n2 --dist=worksteal -m deep -o faulthandler_timeout=1800 $(PYTEST_FLAGS)
	@BLNK_AUTH_TEST_WHEEL=1 $(BIN)/pytest -n2 -m deep tests/conformance -o faulthandler_timeout=1800 $(PYTEST_FLAGS)

# Processes, stores and a server in which everything fails that can, and books that must explain every loss: see
# docs/explanation/safety-net.md. The plan of a seed is always the same: make chaos SEED=7 MINUTES=10
SEED := 1
MINUTES := 10
chaos: $(INSTALLED)
	@PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m chaos.run --seed $(SEED) --minutes $(MINUTES)

# The same tests on every other CPython from 3.11 on that this machine has, each in an environment of its own.
test-pythons: $(INSTALLED)
	@$(BIN)/python tests/support/pythons.py pythons

# The same tests with the lowest version of each package that pyproject.toml allows.
test-lowest: $(INSTALLED)
	@$(BIN)/python tests/support/pythons.py lowest

# What parses foreign text, with inputs that nobody has thought of, against this checkout: see
# docs/explanation/safety-net.md. For an hour: make fuzz SECONDS=3600. Only some: make fuzz TARGETS="redirect request_url"
SECONDS := 60
TARGETS :=
fuzz: $(LOCKED)
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m fuzz.run --seconds $(SECONDS) $(TARGETS)

lint: $(LOCKED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# In both checkers, and also what the public calls return, and the examples of the pages. pyright runs on the Node.js of
# the lock, and the variable stops it from asking a registry for newer versions.
types: $(LOCKED)
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python
	PYTHONPATH=$(CURDIR) $(BIN)/python tests/typing/check.py

# Beside every peer, some 30 minutes; writes docs/explanation/performance.md. On a machine that does nothing else. The
# servers of the stores are started for it, those that are installed.
bench: $(BENCH)/.installed
	@PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m support.with_servers \
	  env -u PYTHONSAFEPATH -u PYTHONPATH $(BENCH)/bin/python benchmarks/run.py

# How many requests the sandbox answers in a second of one core, and how long a test waits for a new sandbox.
bench-sandbox: $(INSTALLED)
	@$(BIN)/python benchmarks/sandbox.py

# Against the limits and the baseline only, in under three minutes; fails if the hot path became over 2 % dearer.
bench-quick: $(BENCH)/.installed
	@env -u PYTHONSAFEPATH $(BENCH)/bin/python benchmarks/run.py --quick

# Every version and hash for every platform and Python that we support, and no address: where packages come from is
# the business of those who install them.
lock: $(LOCKED)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group clients --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/clients.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group niquests --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/niquests.txt
	$(BIN)/uv pip compile --group docs --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/docs.txt
	$(BIN)/uv pip compile pyproject.toml --group bench --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/bench.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group test --resolution lowest-direct --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet \
	  -o requirements/lowest.txt
	$(BIN)/uv pip compile --group audit --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/audit.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras -c requirements/dev.txt --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements/runtime.txt
	@! grep -n '://' requirements/*.txt

# The site, in site/. A warning, a link or an anchor that leads nowhere, and a name that does not exist end it. The tests
# run the examples of its pages. Beside each page is its Markdown, which llms.txt links to.
docs: $(SITE)/.locked
	@$(SITE)/bin/zensical build --clean --strict
	@PYTHONPATH=$(CURDIR) $(BIN)/python tools/llms.py site

# The same while you write, at http://localhost:8000.
docs-serve: $(SITE)/.locked
	@$(SITE)/bin/zensical serve

# The pictures of the site, and the comparison of its first page: a minute, with Chromium. Look at each before you commit it.
pictures: $(LOCKED)
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m support.pictures

# The packages of the locks in a list of known vulnerabilities. It fails if there is one, and if the list cannot be
# reached; so CI does not run it. Another list: make audit AUDIT_FLAGS="--vulnerability-service osv"
AUDIT_FLAGS :=
audit: $(AUDIT)/.locked
	@PYTHONPATH=$(CURDIR)/tools $(AUDIT)/bin/python -m supply_chain.licences
	@PYTHONPATH=$(CURDIR)/tools $(AUDIT)/bin/python -m supply_chain.audit $(AUDIT_FLAGS)

# The bill of materials of what is in dist/, in CycloneDX, beside it.
sbom: $(AUDIT)/.locked $(INSTALLED)
	@PYTHONPATH=$(CURDIR)/tools $(AUDIT)/bin/python -m supply_chain.sbom

# Adds the licences of packages that are new in the locks to requirements/licences.toml, as the environments that are
# installed or the wheels declare them, and names what is left. Look at the difference before you commit it.
licences: $(LOCKED)
	@PYTHONPATH=$(CURDIR)/tools $(BIN)/python -m supply_chain.licences $(VENV) \
	  $(wildcard $(CLIENTS) $(NIQUESTS) $(SITE) $(BENCH) $(AUDIT))

# Builds and checks what a release has, and stops before anything is published: CONTRIBUTING.md, "Releases".
release: test sbom
	@$(BIN)/python tools/release.py

clean:
	rm -rf $(VENV) build dist site .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --clear: the environment is exactly the lock. --only-binary: building an sdist would run code that no hash covers.
$(LOCKED): requirements/dev.txt
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo 'blnk-auth needs Python 3.11 or newer and found none: install it, or name it: make test PYTHON=/path/to/python3' >&2; \
	  exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$found cannot create virtual environments: on Debian and Ubuntu, apt-get install python3-venv" >&2; \
	  exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$found" --version) from requirements/dev.txt (once, about a minute)"; \
	"$$found" -m venv --clear $(VENV)
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

# --no-deps: the lock has every package. pip does not find a pinned one by the name that has an extra (pydantic[email]).
$(CLIENTS)/.locked: requirements/clients.txt $(LOCKED)
	@$(BIN)/python -m venv --clear $(CLIENTS)
	@$(CLIENT_PIP) install --no-deps --require-hashes --only-binary :all: -r requirements/clients.txt
	@touch $@

$(CLIENTS)/.installed: $(CLIENTS)/.locked $(INSTALLED)
	@$(CLIENT_PIP) install --no-index --no-deps --force-reinstall dist/*.whl
	@$(CLIENT_PIP) check
	@touch $@

$(NIQUESTS)/.locked: requirements/niquests.txt $(LOCKED)
	@$(BIN)/python -m venv --clear $(NIQUESTS)
	@$(NIQUESTS_PIP) install --require-hashes --only-binary :all: -r requirements/niquests.txt
	@touch $@

$(NIQUESTS)/.installed: $(NIQUESTS)/.locked $(INSTALLED)
	@$(NIQUESTS_PIP) install --no-index --no-deps --force-reinstall dist/*.whl
	@$(NIQUESTS_PIP) check
	@touch $@

$(SITE)/.locked: requirements/docs.txt $(LOCKED)
	@$(BIN)/python -m venv --clear $(SITE)
	@$(SITE_PIP) install --require-hashes --only-binary :all: -r requirements/docs.txt
	@touch $@

$(AUDIT)/.locked: requirements/audit.txt $(LOCKED)
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(AUDIT_PIP) install --require-hashes --only-binary :all: -r requirements/audit.txt
	@touch $@

$(BENCH)/.locked: requirements/bench.txt $(LOCKED)
	@$(BIN)/python -m venv --clear $(BENCH)
	@$(BENCH_PIP) install --require-hashes --only-binary :all: -r requirements/bench.txt
	@touch $@

$(BENCH)/.installed: $(BENCH)/.locked $(INSTALLED)
	@$(BENCH_PIP) install --no-index --no-deps --force-reinstall dist/*.whl
	@$(BENCH_PIP) check
	@touch $@

# The wheel is built from the sdist, so both are known to hold what they should.
$(INSTALLED): $(LOCKED) $(SOURCES)
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@$(PIP) install --no-index --no-deps --force-reinstall dist/*.whl
	@$(PIP) check
	@touch $@
