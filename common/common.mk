# What the client programs are built with; included by ingestor/Makefile (and by the unit tests' Makefiles).
# ROOT must be set to the repository's root. Everything made goes below $(BUILD).

BUILD     ?= $(ROOT)/build
PG_CONFIG ?= pg_config
PKGCONFIG ?= pkg-config
CC        ?= gcc
CFLAGS    ?= -O2 -g
SANITIZE  ?=

# what one program alone needs
MR_EXTRA_PACKAGES ?=
MR_PACKAGES := rdkafka libevent zlib $(MR_EXTRA_PACKAGES)
MR_CPPFLAGS := -D_GNU_SOURCE -I$(ROOT) -I$(shell $(PG_CONFIG) --includedir) $(shell $(PKGCONFIG) --cflags $(MR_PACKAGES))
# What a newer library deprecates is no reason not to build with it.
MR_CFLAGS   := -std=c11 -Wall -Wextra -Wshadow -Werror -Wno-error=deprecated-declarations -Wno-missing-field-initializers \
               -fPIE -fstack-protector-strong -MMD -MP
MR_LDFLAGS  := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
MR_LIBS     := $(shell $(PKGCONFIG) --libs $(MR_PACKAGES)) -L$(shell $(PG_CONFIG) --libdir) -lpq -lpthread
ifeq ($(SANITIZE),)
MR_CPPFLAGS += $(if $(findstring -O0,$(CFLAGS)),,-D_FORTIFY_SOURCE=2)
else
MR_CFLAGS   += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
MR_LDFLAGS  += -fsanitize=$(SANITIZE)
endif

COMMON_SRCS := $(wildcard $(ROOT)/common/*.c)
