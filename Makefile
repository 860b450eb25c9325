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

# --- what is compiled ---------------------------------------------------------------------------------------------------

DIRS     ?= base core config net http dialect identity quota telemetry backend gate admin run
LIB_SRC  := $(foreach dir,$(DIRS),$(wildcard gateway/$(dir)/*.c))
SIM_SRC  := $(wildcard tests/simgpu/*.c)
UNIT_SRC := $(foreach dir,$(DIRS),$(wildcard tests/unit/$(dir)/*.c)) $(wildcard tests/unit/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
HEADERS  := $(wildcard gateway/*/*.h)
ALL_C    := $(wildcard gateway/*.c gateway/*/*.c gateway/*/*.h tests/*/*.c tests/*/*.h tests/unit/*/*.c tests/unit/*/*.h)

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
OPT      ?= -O2 -g
HARDEN   := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CFLAGS   += -std=c17 $(OPT) $(WARN) $(HARDEN) $(SANFLAGS)
CPPFLAGS += -D_GNU_SOURCE -DMELTGUARD_VERSION='"$(VERSION)"' -Igateway $(LLHTTP_CFLAGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LIBS     := -levent_core -lhiredis -lcrypto -lyaml -lyajl -llmdb $(LLHTTP_LIBS) -lpthread

$(B)/obj/gateway/core/%.o: CFLAGS += -Wconversion -Wsign-conversion
$(B)/obj/tests/%.o: CPPFLAGS += -Itests

.PHONY: all demo test unit e2e bench asan tsan fuzz fmt lint headers floors deps install clean help

all: $(B)/meltguard $(B)/simgpu ## build everything

$(B)/meltguard: $(call obj,gateway/main.c) $(LIB)
$(B)/simgpu: $(SIM_OBJ) $(LIB)
$(B)/simgpu: LIBS += -lpng
$(B)/unit: $(UNIT_OBJ) $(LIB)
$(B)/unit: LIBS += -lcriterion

$(B)/meltguard $(B)/simgpu $(B)/unit:
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

$(LIB): $(LIB_OBJ) $(LLHTTP_OBJ)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: %.c Makefile | $(B)/.deps
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/llhttp/%.o: /usr/share/llhttp/%.c | $(B)/.deps
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) -O2 $(SANFLAGS) -fPIE -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) -c -o $@ $<

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# --- packages -----------------------------------------------------------------------------------------------------------

# Looked for once a build folder; installed by apt-get where they are missing.
$(B)/.deps:
	$(Q)tests/tools/deps.sh
	$(Q)mkdir -p $(B) && touch $@

deps: ## install missing Debian packages
	$(Q)tests/tools/deps.sh
