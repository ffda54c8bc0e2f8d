# Works as it is; ./configure writes config.mk, which overrides what stands here.
# Everything built goes to $(BUILD).

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
CFLAGS ?= -O2 -g
WERROR ?=
SANITIZE ?=
-include config.mk

PACKAGES = libjpeg libpng zlib libcjson libcrypto
PKG_CFLAGS ?= $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS ?= $(shell pkg-config --libs $(PACKAGES))
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Wall -Wextra $(WERROR) -ffp-contract=off -fvisibility=hidden -fPIC \
	-Ilib -Ibin $(PKG_CFLAGS) $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))
LIBS = $(PKG_LIBS) -lpthread -lm

# One list a folder; a new file is one new word.
BASE_SRC =
JSON_SRC =
RECORD_SRC =
IMAGE_SRC =
MODEL_SRC =
GRAPH_SRC = $(addprefix lib/graph/,builder.c resnet.c mobilenet_v3.c fpn.c rpn_head.c box_head.c detector_graphs.c fold.c \
	fuse.c shape.c memory_plan.c print.c)
KERNELS_SRC =
CPU_SRC =
DETECT_SRC =
DRAW_SRC =
CLI_SRC =
LIB_SRC = $(BASE_SRC) $(JSON_SRC) $(RECORD_SRC) $(IMAGE_SRC) $(MODEL_SRC) $(GRAPH_SRC) $(KERNELS_SRC) $(CPU_SRC) $(DETECT_SRC) $(DRAW_SRC)
PROGRAMS =
UNIT_SRC =
FUZZ_TARGETS =

LIB_OBJ = $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ = $(CLI_SRC:%.c=$(BUILD)/%.o)

all: $(PROGRAMS:%=$(BUILD)/bin/%)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libfrcnn.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/bin/%: $(BUILD)/bin/%.o $(CLI_OBJ) $(BUILD)/libfrcnn.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all
.SECONDARY:
