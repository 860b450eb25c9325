# SPDX-License-Identifier: Apache-2.0
# meltguard: one Makefile, no recursion but for the sanitizer builds, everything made lands in $(B).
#   V=1 shows commands; B=DIR builds elsewhere; SAN=address,undefined or SAN=thread builds with sanitizers.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
B       ?= build
V       ?= 0
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
PREFIX  ?= /usr/local
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $(2);)

# Missing packages are installed before anything is asked of the system: once a build folder, and when others are needed.
ifeq ($(filter clean help deps,$(MAKECMDGOALS)),)
ifneq ($(shell [ $(B)/.deps -nt tests/tools/deps.sh ] && echo done),done)
ifneq ($(shell tests/tools/deps.sh >&2 && mkdir -p $(B) && touch $(B)/.deps && echo done),done)
$(error packages are missing)
endif
endif
endif

# --- what is compiled ---------------------------------------------------------------------------------------------------

DIRS     ?= base core config net http redis dialect identity quota telemetry backend gate admin run ctl
LIB_SRC  := $(filter-out gateway/ctl/meltctl.c,$(foreach dir,$(DIRS),$(wildcard gateway/$(dir)/*.c)))
SIM_SRC  := $(wildcard tests/simgpu/*.c)
UNIT_SRC := $(foreach dir,$(DIRS),$(wildcard tests/unit/$(dir)/*.c)) $(wildcard tests/unit/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
HEADERS  := $(wildcard gateway/*/*.h)
ALL_C    := $(wildcard gateway/*.c gateway/*/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch])

obj      = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB_OBJ  := $(call obj,$(LIB_SRC))
SIM_OBJ  := $(call obj,$(SIM_SRC))
UNIT_OBJ := $(call obj,$(UNIT_SRC))
LIB      := $(B)/libmeltguard.a

# llhttp: a library where Debian has one (13), else its C files compiled here (12).
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ    :=
else
LLHTTP_CFLAGS := -isystem /usr/share/include/llhttp
LLHTTP_LIBS   :=
LLHTTP_OBJ    := $(patsubst %,$(B)/obj/llhttp/%.o,api http llhttp)
endif

# --- how ----------------------------------------------------------------------------------------------------------------

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(CI),-Werror)
OPT      ?= -O3 -g
# The gateway is optimised as a whole when it is linked; its objects hold plain code, too, for all that is linked quickly.
# LTO= leaves it out: for a link in a second, and for compilers other than GCC.
LTO      ?= $(if $(SAN),,$(if $(findstring gcc,$(CC)),-flto=auto))
HARDEN   := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
# A release is trained (below): with COUNTS=1 the gateway counts what it does, and TRAINED=DIR is where such a one was built.
# GCC knows what was counted for an object by its name, which -dumpdir tells.
COUNTING := -fprofile-generate -fprofile-update=prefer-atomic
LEARNING := -fprofile-use -fprofile-correction -Wno-missing-profile
PROFILE  := $(if $(COUNTS),$(COUNTING))$(if $(TRAINED),$(LEARNING))
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CFLAGS   += -std=c17 $(OPT) $(WARN) $(HARDEN) $(SANFLAGS)
CPPFLAGS += -D_GNU_SOURCE -DMELTGUARD_VERSION='"$(VERSION)"' -Igateway $(LLHTTP_CFLAGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(if $(LTO),-fno-lto)
LIBS     := -levent_core -lhiredis -lssl -lcrypto -lyaml -lyajl -llmdb $(LLHTTP_LIBS) -lpthread

$(B)/obj/gateway/%.o $(B)/obj/llhttp/%.o: CFLAGS += $(if $(LTO),$(LTO) -ffat-lto-objects) $(PROFILE) $(if $(TRAINED),-dumpdir $(dir $(@:$(B)/%=$(TRAINED)/%)))
$(if $(TRAINED),$(LIB_OBJ) $(LLHTTP_OBJ) $(call obj,gateway/main.c): $(TRAINED)/.done)
$(B)/obj/gateway/core/%.o: CFLAGS += -Wconversion -Wsign-conversion
$(B)/obj/tests/%.o: CPPFLAGS += -Itests

.PHONY: all release demo test unit e2e model asan tsan fuzz fmt lint headers floors deps install clean help

all: $(B)/meltguard $(B)/meltctl $(B)/simgpu ## build everything

$(B)/meltguard: $(call obj,gateway/main.c) $(LIB)
# Without warnings: inlined into each other, bounds that are checked look as if they were not.
$(B)/meltguard: LDFLAGS += $(if $(LTO),$(LTO) $(OPT) -w) $(PROFILE)
$(B)/meltctl: $(call obj,gateway/ctl/meltctl.c) $(LIB)
$(B)/simgpu: $(SIM_OBJ) $(LIB)
$(B)/simgpu: LIBS += -lpng
$(B)/unit: $(UNIT_OBJ) $(LIB)
$(B)/unit: LIBS += -lcriterion

$(B)/meltguard $(B)/meltctl $(B)/simgpu $(B)/unit:
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

$(LIB): $(LIB_OBJ) $(LLHTTP_OBJ)
	$(call say,AR,$@)rm -f $@ && ar qcs $@ $^

$(B)/obj/%.o: %.c Makefile
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/llhttp/%.o: /usr/share/llhttp/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(LLHTTP_CFLAGS) -DLLHTTP_STRICT_MODE=1 $(CFLAGS) -w -c -o $@ $<

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# --- release ------------------------------------------------------------------------------------------------------------
# A compiler that knows which code runs lays it out with fewer misses of the instruction cache.  So a gateway that counts does
# what most will do, and then is built again with what it learned.  TRAIN= leaves that out: for other compilers than GCC, for
# another machine than this, and for builds that are to be the same twice.

TRAIN   ?= $(if $(SAN),,$(findstring gcc,$(CC)))
RELEASE := $(if $(TRAIN),$(B)/release/meltguard,$(B)/meltguard)

release: all $(RELEASE) ## the gateway as it is installed: trained, which takes a minute

$(B)/release/meltguard: $(call obj,gateway/main.c) $(LIB) $(B)/training/.done
	$(Q)$(MAKE) --no-print-directory B=$(B)/release TRAINED=$(B)/training $@

$(B)/training/.done: $(call obj,gateway/main.c) $(LIB) $(B)/simgpu $(B)/load tests/bench/train.py
	$(Q)$(MAKE) --no-print-directory B=$(B)/training COUNTS=1 $(B)/training/meltguard
	$(call say,TRAIN,$(B)/training/meltguard)find $(B)/training -name '*.gcda' -delete && \
	    MELTGUARD_BUILD=$(B) MELTGUARD=$(B)/training/meltguard python3 tests/bench/train.py && touch $@

# --- packages -----------------------------------------------------------------------------------------------------------

deps: ## install missing Debian packages
	$(Q)tests/tools/deps.sh

# --- what there is to do ------------------------------------------------------------------------------------------------

demo: $(B)/meltguard $(B)/simgpu ## show the main job with real requests; STORE=redis, DEMO_SECONDS=N (0: end after the steps)
	$(Q)MELTGUARD_BUILD=$(B) python3 tests/demo/demo.py

test: release $(B)/unit ## run every test, with the gateway as it is installed; ends with one line of totals
	$(Q)MELTGUARD_BUILD=$(B) MELTGUARD=$(RELEASE) tests/tools/test.sh unit e2e

unit: $(B)/unit ## unit tests alone
	$(Q)MELTGUARD_BUILD=$(B) tests/tools/test.sh unit

e2e: all ## end-to-end tests alone; ONLY=quota or ONLY=test_quota.Class.test_name runs a part
	$(Q)MELTGUARD_BUILD=$(B) tests/tools/test.sh e2e

asan: ## every test, with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)LSAN_OPTIONS=suppressions=$(CURDIR)/tests/tools/lsan.supp $(MAKE) B=$(B)/asan SAN=address,undefined OPT='-O1 -g' test

tsan: ## the end-to-end tests, with ThreadSanitizer
	$(Q)TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tools/tsan.supp $(MAKE) B=$(B)/tsan SAN=thread OPT='-O1 -g' e2e

model: ## the quota protocol as a model, checked by Spin; then with defects seeded, which must be found
	$(Q)tests/tools/deps.sh model
	$(Q)MELTGUARD_BUILD=$(B) tests/model/run.sh
	$(Q)MELTGUARD_BUILD=$(B) tests/model/run.sh --mutations

# --- the house ----------------------------------------------------------------------------------------------------------

TIDY_FLAGS := -D_GNU_SOURCE -DMELTGUARD_VERSION=0 -Igateway $(LLHTTP_CFLAGS)
TIDY_SRC := $(wildcard gateway/*.c gateway/*/*.c)

fmt: lint-deps ## format the whole tree
	$(Q)clang-format -i $(ALL_C)

lint: lint-deps headers floors ## headers, floors, formatting, sizes, clang-tidy; warnings are errors
	$(Q)clang-format --dry-run -Werror $(ALL_C)
	$(Q)tests/tools/sizes.sh $(ALL_C)
	$(Q)printf '%s\n' $(TIDY_SRC) | xargs -P 2 -I '{}' sh -c 'out=$$(clang-tidy --quiet {} -- -std=c17 $(TIDY_FLAGS) 2>/dev/null) || { echo "$$out"; exit 1; }'

headers: ## every header compiles alone
	$(Q)for header in $(HEADERS); do \
	    printf '#include "%s"\n' "$${header#gateway/}" | \
	    $(CC) $(CPPFLAGS) -std=c17 $(WARN) -Werror -fsyntax-only -x c - || exit 1; \
	done

floors: ## includes point down
	$(Q)python3 tests/tools/floors.py

.PHONY: lint-deps
lint-deps:
	$(Q)tests/tools/deps.sh lint

# --- fuzzing ------------------------------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 30
FUZZ_CFLAGS  := -std=c17 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_NAMES   := $(patsubst tests/fuzz/%.c,%,$(FUZZ_SRC))

fuzz: lint-deps $(patsubst %,$(B)/fuzz/%,$(FUZZ_NAMES)) ## each fuzzer for FUZZ_SECONDS (30)
	$(Q)for name in $(FUZZ_NAMES); do \
	    echo "  FUZZ  $$name"; mkdir -p $(B)/fuzz/corpus/$$name; \
	    $(B)/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(B)/fuzz/$$name- \
	        $(B)/fuzz/corpus/$$name 2>$(B)/fuzz/$$name.log || { tail -n 40 $(B)/fuzz/$$name.log; exit 1; }; \
	done

$(B)/fuzz/libmeltguard.a: $(patsubst %.c,$(B)/fuzz/obj/%.o,$(LIB_SRC)) $(patsubst $(B)/obj/%,$(B)/fuzz/obj/%,$(LLHTTP_OBJ))
	$(call say,AR,$@)rm -f $@ && ar qcs $@ $^

$(B)/fuzz/obj/llhttp/%.o: /usr/share/llhttp/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CLANG) -O1 -g -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) -c -o $@ $<

$(B)/fuzz/obj/%.o: %.c Makefile
	$(call say,CC,$<)mkdir -p $(@D) && $(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/%: tests/fuzz/%.c $(B)/fuzz/libmeltguard.a
	$(call say,LD,$@)$(CLANG) $(CPPFLAGS) -Itests $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $< $(B)/fuzz/libmeltguard.a $(LIBS)

# --- the rest -----------------------------------------------------------------------------------------------------------

install: release ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/meltguard
	install -D -m 755 $(B)/meltctl $(DESTDIR)$(PREFIX)/bin/meltctl
	install -d $(DESTDIR)$(PREFIX)/share/meltguard/policies $(DESTDIR)$(PREFIX)/share/meltguard/conf
	install -m 644 policies/*.yaml $(DESTDIR)$(PREFIX)/share/meltguard/policies
	install -m 644 conf/*.yaml $(DESTDIR)$(PREFIX)/share/meltguard/conf

clean: ## remove all that was built
	rm -rf $(B)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- benchmarks ---------------------------------------------------------------------------------------------------------

LOAD_OBJ := $(call obj,$(wildcard tests/bench/load/*.c))

.PHONY: bench bench-guard

$(B)/load: $(LOAD_OBJ)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^

STORE_LOAD_OBJ := $(call obj,$(wildcard tests/bench/store/*.c))

$(B)/store-load: $(STORE_LOAD_OBJ) $(LIB)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/embedded-load: $(call obj,tests/bench/embedded/main.c) $(LIB)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

bench: release $(B)/load $(B)/store-load $(B)/embedded-load ## against nginx, HAProxy and others: table, plot, numbers; SCENARIO=NAME runs one, ROUNDS=N
	$(Q)tests/tools/deps.sh bench
	$(Q)MELTGUARD_BUILD=$(B) MELTGUARD=$(RELEASE) python3 tests/bench/run.py $(SCENARIO)

bench-guard: all $(B)/load ## instructions a request; fails where one grew by more than 3 %
	$(Q)tests/tools/deps.sh guard
	$(Q)MELTGUARD_BUILD=$(B) python3 tests/bench/guard.py

# --- torture ------------------------------------------------------------------------------------------------------------

TORTURE_SECONDS ?= 180
TORTURE_SEED    ?=

.PHONY: torture
torture: all ## exact quotas whatever breaks; TORTURE_SECONDS (180, all worlds), TORTURE_SEED=N, TORTURE_ARGS="cluster"
	$(Q)MELTGUARD_BUILD=$(B) python3 tests/torture/torture.py --seconds $(TORTURE_SECONDS) \
	    $(if $(TORTURE_SEED),--seed $(TORTURE_SEED)) $(TORTURE_ARGS)
