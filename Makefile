# The front door. Meson does the work; this installs what is missing and names the usual doors.
# Debian's own tools by full path: another python3 or meson may come first in PATH.
MESON = /usr/bin/meson
NINJA = /usr/bin/ninja
PYTHON = /usr/bin/python3

ARGS ?= agent --foreground --state var
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
# no: an agent without a page, made without npm.
PAGE ?= yes
SHOTS ?= docs/img

# A build that was configured before the page was there does not know its files.
take_page = test ! -f web/dist/app.js || grep -qF web/dist/app.js $(1)/build.ninja || \
    $(MESON) setup --reconfigure $(1) >&2

.NOTPARALLEL:
.PHONY: run build demo test bench fuzz fuzz-build format static asan install clean screenshots \
    page-build page-test deps-build deps-test deps-bench

# What is built before a command runs is reported on stderr: stdout belongs to the command.
run: build
	@build/plimsoll $(ARGS)

build: deps-build page-build
	@test -f build/build.ninja || $(MESON) setup build >&2
	@$(call take_page,build)
	@$(NINJA) -C build plimsoll plimsoll-front plimsoll-inspect plimsoll-remote >&2

# Loads that show every state of the page within a minute; Ctrl-C takes all of it away.
demo: build
	@$(NINJA) -C build tests/loads/demo >&2
	@$(PYTHON) tools/demo $(DEMO_ARGS)

# build/ may have been made before the packages for the tests were there.
build/with-tests: | deps-test build
	@$(MESON) configure build -Dtests=enabled >&2
	@touch $@

test: deps-test page-test build/with-tests asan static
	@$(NINJA) -C build >&2
	@$(PYTHON) tests/run.py $(TEST_ARGS)

asan: deps-test
	@test -f build-asan/build.ninja || \
	    $(MESON) setup -Db_sanitize=address,undefined -Doptimization=1 build-asan >&2
	@$(call take_page,build-asan)
	@$(NINJA) -C build-asan >&2

static: deps-build
	@test -f build-static/build.ninja || $(MESON) setup -Dstatic=true build-static >&2
	@$(NINJA) -C build-static plimsoll >&2

fuzz-build: deps-test
	@test -f build-fuzz/build.ninja || CC=clang-14 $(MESON) setup -Dfuzzer=true \
	    -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dtests=disabled build-fuzz >&2
	@$(NINJA) -C build-fuzz >&2

# Finds go to build-fuzz/corpus, inputs that fail to build-fuzz/fail-NAME-...
fuzz: fuzz-build
	@tools/fuzz build-fuzz $(FUZZ_SECONDS)

# The README's pictures, out of the browser's tests.
screenshots: deps-test page-test build/with-tests
	@$(NINJA) -C build >&2
	@mkdir -p $(SHOTS)
	@PLIMSOLL_SHOTS=$(abspath $(SHOTS)) $(PYTHON) tests/run.py --only browser

bench: deps-bench page-test build
	@$(NINJA) -C build >&2
	@$(PYTHON) bench/run.py $(BENCH_ARGS)

format: deps-test
	@tools/check_format --fix

install: build
	$(MESON) configure build -Dprefix=$(abspath $(PREFIX))
	$(MESON) install -C build $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

clean:
	rm -rf build build-asan build-fuzz build-static web/build-test
	test ! -d web/node_modules || rm -rf web/dist

# What cannot be made again without npm's registry stays: see tools/page.
page-build: deps-build
	@test $(PAGE) = no || tools/page build

page-test: deps-test
	@tools/page test

deps-build:
	@tools/deps build

deps-test:
	@tools/deps build test

deps-bench:
	@tools/deps build test bench
