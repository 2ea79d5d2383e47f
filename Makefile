# SPDX-License-Identifier: GPL-2.0-or-later
# Penstock: build, test, check. `make help` lists the targets.
#
# Sources are listed by hand in dataplane/, ctl/, bench/ and tests/sources.mk, never found by wildcard.
# Every variant has its own folder:  build/release  build/debug  build/asan  build/tsan  build/fuzz
# Pinned third-party libraries are built once into build/deps/prefix (tools/build_deps.sh).
# No compiler is called while this file is parsed: on a fresh host it is installed by the first recipe.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

include dataplane/sources.mk
include ctl/sources.mk
include bench/sources.mk
include tests/sources.mk

# Where the variants go. Two people at work in one tree each take their own:  make OUT=build/mine
OUT     := build
CC      := gcc
FUZZ_CC := clang
AR      := gcc-ar
VARIANTS := release debug asan tsan fuzz

# ---------------------------------------------------------------------------------------------------------------------
# Flags

# -iquote and not -I: a header of ours can never hide one of the system's. Strict aliasing is off, as in the kernel:
# record layouts are read from byte buffers, and the gain of the assumption is not measurable here.
CPPFLAGS := -D_GNU_SOURCE -iquote dataplane -iquote tests -isystem build/deps/prefix/include
WERROR   := -Werror
WARNINGS := -Wall -Wextra $(WERROR) -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wswitch-enum -Wpointer-arith -Wwrite-strings -Wformat=2
# The folder of the build is in no binary: packages are the same to the bit wherever they are built.
CFLAGS   := -std=c17 -g -pthread -fPIE -fno-strict-aliasing -fno-common -fstack-protector-strong \
	-ffile-prefix-map=$(CURDIR)=.
LDFLAGS  := -pie -pthread -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--build-id=sha1
LIBS     := build/deps/prefix/lib/libwolfssl.a build/deps/prefix/lib/liburing.a build/deps/prefix/lib/libyyjson.a \
	-llmdb -lxxhash -lyaml -lm

# The release programs are optimized as a whole, when they are linked: 1 to 3 % less CPU for an event. Their tests take
# the code that is in the objects beside it: 160 such links would take longer than all of the tests. What keeps folders
# out of the objects keeps them out here, too.
LTO_release    := -flto=auto -O2 -g -ffile-prefix-map=$(CURDIR)=. -frandom-seed=penstock
CFLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -flto -ffat-lto-objects
CFLAGS_debug   := -Og -D_FORTIFY_SOURCE=2 -DPENSTOCK_DEBUG
SANITIZE_asan  := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_tsan  := -fsanitize=thread
SANITIZE_fuzz  := -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_asan    := -O1 -fno-omit-frame-pointer -DPENSTOCK_DEBUG $(SANITIZE_asan)
CFLAGS_tsan    := -O1 -fno-omit-frame-pointer -DPENSTOCK_DEBUG $(SANITIZE_tsan)
CFLAGS_fuzz    := -O1 -fno-omit-frame-pointer -DPENSTOCK_DEBUG $(SANITIZE_fuzz) -fsanitize=fuzzer-no-link -Wno-error

# ---------------------------------------------------------------------------------------------------------------------
# Dependencies

# Newer than everything that decides what build/deps holds; the scripts find out what really has to be done.
DEPS := build/deps/made

$(DEPS): third_party/sources.lock $(wildcard third_party/patches/*/*.patch) \
		tools/bootstrap.sh tools/fetch_sources.sh tools/build_deps.sh
	+@tools/bootstrap.sh build
	+@tools/build_deps.sh
	@touch $@

.PHONY: deps
deps: $(DEPS) ## install the packages a build needs and build the pinned libraries

# ---------------------------------------------------------------------------------------------------------------------
# Version: known to one file only, so that a commit does not rebuild the world

$(OUT)/version: force
	@mkdir -p $(@D)
	@{ git describe --always --tags --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown; } >$@.new
	@cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@

.PHONY: force
force:

# ---------------------------------------------------------------------------------------------------------------------
# Variants

# A source that is listed in a sources.mk but is not in the tree ends up here.
%.c:
	@echo "$@ is listed in a sources.mk but does not exist" >&2; exit 1

objects = $(patsubst %.c,$(OUT)/$(1)/obj/%.o,$(2))
programs = $(patsubst %.c,$(OUT)/$(1)/%,$(2))

TEST_PROGRAM_SRC := $(UNIT_TESTS) $(SIM_TESTS)
ALL_SRC := $(DATAPLANE_SRC) $(CTL_SRC) $(BENCH_SRC) $(TEST_SUPPORT_SRC) $(SIM_SRC) $(TEST_PROGRAM_SRC) \
	$(FUZZ_TARGETS) $(TOOL_PROGRAMS) tests/fuzz/main.c dataplane/main.c

define variant
CC_$(1) := $(if $(filter fuzz,$(1)),$$(FUZZ_CC),$$(CC))

# Rebuild everything of a variant when its flags change.
$(OUT)/$(1)/flags: force
	@mkdir -p $$(@D)
	@echo '$$(CC_$(1)) $$(CPPFLAGS) $$(WARNINGS) $$(CFLAGS) $$(CFLAGS_$(1))' >$$@.new
	@cmp -s $$@.new $$@ && rm -f $$@.new || mv $$@.new $$@

$(call objects,$(1),$(ALL_SRC)): $(OUT)/$(1)/obj/%.o: %.c $(OUT)/$(1)/flags $(DEPS)
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	@$$(CC_$(1)) $$(CPPFLAGS) $$(WARNINGS) $$(CFLAGS) $$(CFLAGS_$(1)) $$(VERSION_DEFINE) -MMD -MP -c $$< -o $$@

$(OUT)/$(1)/obj/dataplane/base/version.o: $(OUT)/version
$(OUT)/$(1)/obj/dataplane/base/version.o: VERSION_DEFINE = -DPENSTOCK_VERSION='"$$(shell cat $(OUT)/version)"'

$(OUT)/$(1)/libpenstock.a: $(call objects,$(1),$(DATAPLANE_SRC))
	@echo "  AR    $$@"
	@rm -f $$@
	@$$(AR) rcs $$@ $$^

# The same with the simulated I/O in place of the ring.
$(OUT)/$(1)/libpenstock_sim.a: $(call objects,$(1),$(filter-out dataplane/engine/io_uring%,$(DATAPLANE_SRC)) $(SIM_SRC))
	@echo "  AR    $$@"
	@rm -f $$@
	@$$(AR) rcs $$@ $$^

$(OUT)/$(1)/penstockd: $(call objects,$(1),dataplane/main.c) $(OUT)/$(1)/libpenstock.a
$(OUT)/$(1)/penstockctl: $(call objects,$(1),$(CTL_SRC)) $(OUT)/$(1)/libpenstock.a
$(OUT)/$(1)/penstock-bench: $(call objects,$(1),$(BENCH_SRC)) $(OUT)/$(1)/libpenstock.a
$(OUT)/$(1)/penstockd $(OUT)/$(1)/penstockctl $(OUT)/$(1)/penstock-bench:
	@echo "  LINK  $$@"
	@$$(CC_$(1)) $$(LDFLAGS) $$(LTO_$(1)) $$(SANITIZE_$(1)) $$(filter %.o %.a,$$^) $$(LIBS) -o $$@

# Helpers of the tests; an archive, so that a test links what it uses and no more.
$(OUT)/$(1)/libtest.a: $(call objects,$(1),$(TEST_SUPPORT_SRC))
	@echo "  AR    $$@"
	@rm -f $$@
	@$$(AR) rcs $$@ $$^

$(call programs,$(1),$(UNIT_TESTS)): $(OUT)/$(1)/%: $(OUT)/$(1)/obj/%.o $(OUT)/$(1)/libtest.a \
		$(OUT)/$(1)/libpenstock.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(CC_$(1)) $$(LDFLAGS) -fno-lto $$(SANITIZE_$(1)) $$(filter %.o %.a,$$^) $$(LIBS) -lcmocka -o $$@

$(call programs,$(1),$(SIM_TESTS)): $(OUT)/$(1)/%: $(OUT)/$(1)/obj/%.o $(OUT)/$(1)/libtest.a \
		$(OUT)/$(1)/libpenstock_sim.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(CC_$(1)) $$(LDFLAGS) -fno-lto $$(SANITIZE_$(1)) $$(filter %.o %.a,$$^) $$(LIBS) -lcmocka -o $$@

$(call programs,$(1),$(TOOL_PROGRAMS)): $(OUT)/$(1)/%: $(OUT)/$(1)/obj/%.o
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(CC_$(1)) $$(LDFLAGS) -fno-lto $$(SANITIZE_$(1)) $$< $$(LIBS) -o $$@

-include $(patsubst %.o,%.d,$(call objects,$(1),$(ALL_SRC)))
endef
$(foreach v,$(VARIANTS),$(eval $(call variant,$(v))))

# A fuzz target is linked with libFuzzer (variant fuzz), and with a plain main that replays files (variant asan).
$(call programs,fuzz,$(FUZZ_TARGETS)): $(OUT)/fuzz/%: $(OUT)/fuzz/obj/%.o $(OUT)/fuzz/libpenstock.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(FUZZ_CC) $(LDFLAGS) $(SANITIZE_fuzz) -fsanitize=fuzzer $(filter %.o %.a,$^) $(LIBS) -o $@

$(call programs,asan,$(FUZZ_TARGETS)): $(OUT)/asan/%: $(OUT)/asan/obj/%.o $(OUT)/asan/obj/tests/fuzz/main.o \
		$(OUT)/asan/libpenstock.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) $(SANITIZE_asan) $(filter %.o %.a,$^) $(LIBS) -o $@

# ---------------------------------------------------------------------------------------------------------------------
# Programs

# A program whose list of sources is still empty is left out.
PROGRAMS := $(if $(wildcard dataplane/main.c),penstockd) $(if $(CTL_SRC),penstockctl) $(if $(BENCH_SRC),penstock-bench)

.PHONY: all
all: $(patsubst %,$(OUT)/release/%,$(PROGRAMS)) ## build the release programs (default); links in build/bin
	@mkdir -p $(OUT)/bin
	@for program in $(PROGRAMS); do ln -sf ../release/$$program $(OUT)/bin/$$program; done

# From the programs' own tables of options. The date of a page is that of the commit.
MAN_PAGES := $(OUT)/man/penstockctl.1 $(OUT)/man/penstockd.8 $(OUT)/man/penstock-bench.1
.PHONY: man
man: $(MAN_PAGES) ## the manual pages, in build/man

$(OUT)/man/penstockctl.1: $(OUT)/release/penstockctl
$(OUT)/man/penstockd.8: $(OUT)/release/penstockd
$(OUT)/man/penstock-bench.1: $(OUT)/release/penstock-bench
$(MAN_PAGES):
	@mkdir -p $(@D)
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || date +%s)} $< --generate man >$@

.PHONY: completions
completions: $(patsubst %,$(OUT)/release/%,$(PROGRAMS)) ## completions for bash, zsh and fish, in build/completions
	@mkdir -p $(OUT)/completions
	@for program in $(PROGRAMS); do \
		$(OUT)/release/$$program --generate bash >$(OUT)/completions/$$program.bash && \
		$(OUT)/release/$$program --generate zsh >$(OUT)/completions/_$$program && \
		$(OUT)/release/$$program --generate fish >$(OUT)/completions/$$program.fish || exit 1; \
	done

.PHONY: debug asan tsan
debug asan tsan: %: $(foreach p,$(PROGRAMS),$(OUT)/%/$(p))

include packaging/packaging.mk

# ---------------------------------------------------------------------------------------------------------------------
# Targets for people. Each does its own set-up.

.PHONY: demo
demo: ## show Penstock at work on this machine (does all set-up itself)
	@tools/bootstrap.sh build test
	+@$(MAKE) --no-print-directory all
	@tools/demo.sh

# What `make test` runs, as kind:variant:program, read by tools/run_tests.sh.
TEST_LIST := \
	$(foreach v,release asan,$(foreach t,$(UNIT_TESTS),unit:$(v):$(call programs,$(v),$(t)))) \
	$(foreach t,$(THREAD_TESTS),unit:tsan:$(call programs,tsan,$(t))) \
	$(foreach t,$(SIM_TESTS),sim:asan:$(call programs,asan,$(t)))
CHECK_LIST := $(foreach t,$(UNIT_TESTS),unit:debug:$(call programs,debug,$(t)))
list_programs = $(foreach t,$(1),$(lastword $(subst :, ,$(t))))

.PHONY: test
test: ## run every test; the last line is "N passed, N failed" (does all set-up itself)
	@tools/bootstrap.sh build test
	@tools/bootstrap.sh monitor || echo "test: without promtool; what it checks is skipped" >&2
	+@$(MAKE) --no-print-directory deps
	+@$(MAKE) --no-print-directory --keep-going all $(call list_programs,$(TEST_LIST)) $(call programs,release,$(TOOL_PROGRAMS)) || \
		echo "test: something does not build, see above; going on with the rest" >&2
	@printf '%s\n' $(TEST_LIST) | tools/run_tests.sh --tools --pytest

.PHONY: test-lifecycle
test-lifecycle: ## 50 reloads, 10 upgrades, 10 drains and starts under TLS load: nobody may notice
	@tools/bootstrap.sh build test
	+@$(MAKE) --no-print-directory all
	@PENSTOCK_LIFECYCLE=1 PENSTOCK_BUILD=$(OUT)/release /usr/bin/python3 -m pytest -q -rP tests/integration/test_lifecycle_load.py

# The release programs but for their links, which take longer than all else.
CHECK_OBJECTS := $(OUT)/release/libpenstock.a $(call objects,release,dataplane/main.c $(CTL_SRC) $(BENCH_SRC))
.PHONY: check
check: ## the checks before a commit, under 60 s: format, tidy, layers, crypto, unit tests, fuzz smoke
	@tools/bootstrap.sh check
	+@$(MAKE) --no-print-directory deps
	+@$(MAKE) --no-print-directory $(CHECK_OBJECTS) $(call list_programs,$(CHECK_LIST)) $(call programs,release,$(TOOL_PROGRAMS)) \
		$(call programs,asan,$(FUZZ_TARGETS))
	@tools/check_format
	@tools/check_layers
	@tools/check_tidy
	@tools/check_units
	@tools/check_clang_tidy
	@tools/check_crypto.sh
	@printf '%s\n' $(CHECK_LIST) | tools/run_tests.sh --tools
	@tools/fuzz_smoke.sh $(call programs,asan,$(FUZZ_TARGETS))

.PHONY: check-units
check-units: ## check the systemd units: known keys, exposure at most 2.0
	@tools/check_units

.PHONY: deb rpm packages
deb rpm packages: ## packages, of one format or both, in build/packages: make packages [PACKAGE_VERSION=1.2.3]
	@tools/bootstrap.sh build package
	+@$(MAKE) --no-print-directory man completions $(foreach f,$(FORMATS_$@),$(call package_programs,$(f)))
	@for format in $(FORMATS_$@); do packaging/package.py build $$format $(OUT) $(PACKAGES) || exit 1; done

.PHONY: test-packages
test-packages: ## lint the packages, build them twice, install, upgrade and remove them in a fresh root (needs root)
	@tools/bootstrap.sh build test package
	@tests/packages/run.sh

.PHONY: check-reproducible
check-reproducible: ## build the packages in two folders and compare them bit by bit
	@tools/bootstrap.sh build package
	@tools/check_reproducible

T :=
# For the work on one file: T=base/bytes builds and runs what matches, in the debug variant, or in VARIANT=asan.
VARIANT := debug
UNIT_MATCH = $(foreach t,$(UNIT_TESTS),$(if $(if $(T),$(findstring $(T),$(subst test_,,$(t))),all),unit:$(VARIANT):$(call programs,$(VARIANT),$(t))))
.PHONY: unit
unit: ## run unit tests: make unit [T=base/bytes] [VARIANT=asan]
	+@$(MAKE) --no-print-directory $(call list_programs,$(UNIT_MATCH))
	@printf '%s\n' $(UNIT_MATCH) | tools/run_tests.sh --verbose

REFERENCE_TEST := $(OUT)/debug/tests/unit/control/test_metrics_reference
.PHONY: metrics-reference
metrics-reference: ## write the table of docs/metrics.md again, after a change of metrics
	+@$(MAKE) --no-print-directory $(REFERENCE_TEST)
	@PENSTOCK_WRITE_REFERENCE=1 $(REFERENCE_TEST)

# What a failing seed says to run:  make sim SEED=123  (VERBOSE=1 shows every event). More of them:  make sim SEEDS=5000 FIRST=1
SIM_PROGRAMS := $(call programs,asan,$(SIM_TESTS))
SIM_SEEDS := $(OUT)/asan/tests/sim/test_world_seeds
.PHONY: sim
sim: ## run the simulation: make sim [SEED=123 [VERBOSE=1]] [SEEDS=1000 [FIRST=0]]
	+@$(MAKE) --no-print-directory $(if $(SEED)$(SEEDS),$(SIM_SEEDS),$(SIM_PROGRAMS))
	@for program in $(if $(SEED)$(SEEDS),$(SIM_SEEDS),$(SIM_PROGRAMS)); do \
		env $(if $(SEED),SEED=$(SEED)) $(if $(SEEDS),SEEDS=$(SEEDS)) $(if $(FIRST),FIRST=$(FIRST)) \
			$(if $(VERBOSE),VERBOSE=1) setarch "$$(uname -m)" -R $$program || exit 1; \
	done

# Documents made from the tables of keys and codes. The first two are in the repository; a test compares them.
.PHONY: reference
reference: $(OUT)/release/penstockctl ## rewrite docs/configuration.md and docs/penstock.schema.json
	@$< config reference >docs/configuration.md
	@$< config schema >docs/penstock.schema.json

.PHONY: man
man: $(OUT)/man/penstock.yaml.5 $(OUT)/man/penstock-codes.7 ## make the manual pages, in build/man
$(OUT)/man/penstock.yaml.5 $(OUT)/man/penstock-codes.7: $(OUT)/release/penstockctl
	@mkdir -p $(@D)
	@$< config reference --format $(if $(findstring codes,$@),codes-man,man) >$@

.PHONY: format
format: ## rewrite the C files to the style of .clang-format
	@tools/check_format --fix

FUZZ_SECONDS := 60
.PHONY: fuzz
fuzz: ## fuzz with libFuzzer: make fuzz [T=http_request] [FUZZ_SECONDS=60]
	@tools/bootstrap.sh check
	+@$(MAKE) --no-print-directory $(call programs,fuzz,$(if $(T),tests/fuzz/fuzz_$(T).c,$(FUZZ_TARGETS)))
	@tools/fuzz.sh $(FUZZ_SECONDS) $(call programs,fuzz,$(if $(T),tests/fuzz/fuzz_$(T).c,$(FUZZ_TARGETS)))

.PHONY: bench
bench: ## measure throughput and latency, with nginx and haproxy beside (does all set-up itself)
	@tools/bootstrap.sh bench
	+@$(MAKE) --no-print-directory all
	@PENSTOCK_BUILD=$(OUT)/release tools/bench.sh

.PHONY: bench-compare
bench-compare: ## compare with nginx and HAProxy, ratios in build/bench/compare.json: make bench-compare [ROUNDS=5] [SECONDS=6]
	@tools/bootstrap.sh bench
	+@$(MAKE) --no-print-directory all
	@PENSTOCK_BUILD=$(OUT)/release /usr/bin/python3 tools/bench_compare.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: bench-scale
bench-scale: ## a long backlog, idle connections, many endpoints, retention: make bench-scale [EVENTS=10000000] [CONNECTIONS=100000] [ENDPOINTS=10000] [ONLY=backlog]
	@tools/bootstrap.sh bench
	+@$(MAKE) --no-print-directory all
	@PENSTOCK_BUILD=$(OUT)/release /usr/bin/python3 tools/bench_scale.py $(if $(EVENTS),--events $(EVENTS)) $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(if $(ENDPOINTS),--endpoints $(ENDPOINTS)) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-crypto
bench-crypto: $(OUT)/release/tests/tools/crypto_bench ## measure the wolfSSL that was built: AES-GCM, HMAC, ECDSA, ...
	@$<

.PHONY: clean
clean: ## remove what was built, keep the third-party libraries
	rm -rf $(patsubst %,$(OUT)/%,$(VARIANTS)) $(OUT)/bin $(OUT)/man $(OUT)/completions $(OUT)/packages $(OUT)/test $(OUT)/version

.PHONY: distclean
distclean: ## remove everything that is not in the repository
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
