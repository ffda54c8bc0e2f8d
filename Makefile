# Works as it is; ./configure writes config.mk, which overrides what stands here.
# Everything built goes to $(BUILD).
#
#   make                 programs, libfrcnn.a, libfrcnn.so
#   make check           unit tests, command-line tests, build tests, replay of the fuzz corpora
#   make bench           benchmarks
#   make mutants         breaks the evaluation on purpose, line by line: its tests must notice
#   make install         to $(DESTDIR)$(PREFIX); make uninstall takes the same files away
#   make fuzz            libFuzzer programs in $(BUILD)/fuzz (clang)
#   make lint            the man pages
#   make format          clang-format over all sources; format-check only looks
#
# Variables: CC, CFLAGS, LDFLAGS, BUILD, PREFIX, DESTDIR, WERROR=-Werror, SANITIZE=address,undefined

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CFLAGS ?= -O2 -g
WERROR ?=
SANITIZE ?=
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
-include config.mk

PACKAGES = libjpeg libpng zlib libcjson libcrypto expat
PKG_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null || echo -I/usr/include/cjson)
PKG_LIBS ?= $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null || echo -ljpeg -lpng -lz -lcjson -lcrypto -lexpat)
HAVE_CRITERION ?= $(shell $(PKG_CONFIG) --exists criterion 2>/dev/null && echo yes || echo no)
CRITERION_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags criterion 2>/dev/null)
CRITERION_LIBS ?= $(shell $(PKG_CONFIG) --libs criterion 2>/dev/null || echo -lcriterion)
ISA_X86 ?= $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),yes,no)
ifeq ($(origin PKG_LIBS),file)
# asked once, not at every use
PKG_CFLAGS := $(PKG_CFLAGS)
PKG_LIBS := $(PKG_LIBS)
endif
HAVE_CRITERION := $(HAVE_CRITERION)
ISA_X86 := $(ISA_X86)

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Wall -Wextra $(WERROR) -ffp-contract=off -fvisibility=hidden -fPIC \
	-Ilib -Ibin $(PKG_CFLAGS) $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))
LIBS = $(PKG_LIBS) -lpthread -lm

# A kernel file is named after the instruction set that it alone is compiled for.
ISA_FLAGS = $(if $(filter yes,$(ISA_X86)),$(ISA_FLAGS_X86)) $(HOT_FLAGS) $(ASAN_FLAGS)
# Where every access of a large tile is checked in place, clang takes a minute over a file; by calls, a third of that.
ASAN_FLAGS = $(if $(findstring address,$(SANITIZE)),$(if $(findstring clang,$(CC)),$(if \
	$(filter %_int8_avx512.c %_int8_avx512vnni.c,$<),-mllvm -asan-instrumentation-with-call-threshold=0)))
# Loops over channels and boxes are written for a vectorising compiler; gcc at -O2 hardly vectorises.
HOT_FLAGS = $(if $(filter -O2,$(CFLAGS)),$(if $(filter lib/kernels/% lib/detect/% lib/eval/% lib/nms/% lib/quant/%,$<),-O3))
ISA_FLAGS_X86 = $(if $(filter %_avx2.c %_avxvnni.c,$<),-mavx2 -mfma -mf16c -mprfchw) \
	$(if $(filter %_avxvnni.c,$<),-mavxvnni) \
	$(if $(filter %_avx512bf16.c,$<),-mavx512bf16) $(if $(filter %_avx512vnni.c,$<),-mavx512vnni) \
	$(if $(filter %_avx512.c %_avx512bf16.c %_avx512vnni.c,$<),-mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprfchw)

# One list a folder; a new file is one new word.
BASE_SRC = lib/base/error.c lib/base/memory.c lib/base/buffer.c lib/base/file.c lib/base/number.c lib/base/text.c lib/base/digest.c lib/base/clock.c lib/base/cores.c lib/base/pool.c lib/base/version.c
JSON_SRC = lib/json/reader.c lib/json/writer.c
RECORD_SRC = lib/record/coco.c lib/record/ids.c lib/record/join.c lib/record/labels.c lib/record/read.c lib/record/results.c lib/record/pieces.c lib/record/annotations.c lib/record/sniff.c \
	lib/record/truth.c lib/record/value.c lib/record/voc.c lib/record/write.c lib/record/yolo.c
IMAGE_SRC = lib/image/decode.c lib/image/jpeg.c lib/image/png.c lib/image/exif.c lib/image/encode.c
MODEL_SRC = lib/model/describe.c lib/model/metadata.c lib/model/model.c $(addprefix lib/model/,arena.c checkpoint.c legacy.c pickle.c safetensors.c safetensors_write.c tensor.c weights.c zip.c)
GRAPH_SRC = $(addprefix lib/graph/,builder.c resnet.c mobilenet_v3.c fpn.c rpn_head.c box_head.c detector_graphs.c fold.c \
	fuse.c shape.c memory_plan.c print.c)
KERNELS_SRC = lib/kernels/dispatch.c lib/kernels/c/reference.c lib/kernels/c/kernels_c.c lib/kernels/c/kernels_c_int8.c lib/kernels/c/reference_int8.c \
	$(if $(filter yes,$(ISA_X86)),lib/kernels/x86/kernels_avx2.c lib/kernels/x86/kernels_avx512.c \
	lib/kernels/x86/kernels_avx512bf16.c lib/kernels/x86/kernels_int8_avx2.c \
	lib/kernels/x86/kernels_int8_avxvnni.c lib/kernels/x86/kernels_int8_avx512.c lib/kernels/x86/kernels_int8_avx512vnni.c)
CPU_SRC = lib/cpu/backend.c lib/cpu/conv.c lib/cpu/depthwise.c lib/cpu/winograd.c lib/cpu/pointwise.c
NMS_SRC = $(addprefix lib/nms/,rank.c greedy.c index.c neighbours.c soft.c fuse.c suppress.c)
FILTER_SRC = $(addprefix lib/filter/,thresholds.c labels.c join.c emit.c plain.c filter.c)
DETECT_SRC = $(addprefix lib/detect/,params.c workspace.c transform.c anchors.c box_coder.c topk.c nms.c proposals.c \
	roi_each.c roi_align.c roi_pool.c postprocess.c slices.c detector.c)
EVAL_SRC = $(addprefix lib/eval/,dataset.c coco.c rows.c matches.c voc.c tide.c scores.c calibration.c confusion.c) \
	$(addprefix lib/eval/,select.c compare.c measure.c gates.c read.c validate.c traps.c)
RENDER_SRC = $(addprefix lib/render/,render.c table.c sections.c text.c markdown.c json.c csv.c junit.c cells.c svg.c page.c html.c)
ANCHORS_SRC = $(addprefix lib/anchors/,config.c boxes.c assign.c proposals.c kmeans.c fit.c report.c text.c json.c page.c)
QUANT_SRC = $(addprefix lib/quant/,scale.c observe.c plan.c calibrate.c quantize.c measure.c sensitivity.c search.c equalize.c adaround.c)
DRAW_SRC = lib/draw/boxes.c lib/draw/colour.c lib/draw/font.c
CLI_SRC = bin/cli/opt.c bin/cli/diag.c bin/cli/progress.c bin/cli/input.c bin/cli/decode.c bin/cli/output.c bin/cli/share.c bin/cli/limits.c bin/cli/stats.c
LIB_SRC = $(BASE_SRC) $(JSON_SRC) $(RECORD_SRC) $(IMAGE_SRC) $(MODEL_SRC) $(GRAPH_SRC) $(KERNELS_SRC) $(CPU_SRC) $(NMS_SRC) $(FILTER_SRC) $(DETECT_SRC) $(EVAL_SRC) $(RENDER_SRC) $(ANCHORS_SRC) $(QUANT_SRC) $(DRAW_SRC)
PROGRAMS = frcnn-detect frcnn-model frcnn-draw frcnn-eval frcnn-nms frcnn-anchors frcnn-quantize
UNIT_SRC = $(addprefix tests/unit/test_detect_,transform.c boxes.c nms.c roi.c post.c slices.c models.c) \
	tests/unit/test_base.c tests/unit/test_pool.c tests/unit/test_json.c tests/unit/test_files.c tests/unit/test_record.c tests/unit/test_not_numbers.c tests/unit/test_results.c tests/unit/test_truth.c tests/unit/test_validate.c tests/unit/test_image.c tests/unit/test_draw.c \
	tests/unit/test_kernels.c tests/unit/avxvnni_avx512vnni.c tests/unit/test_channels.c tests/unit/test_bytes.c tests/unit/test_stages.c tests/unit/test_share.c tests/unit/test_parity.c tests/unit/test_describe.c tests/unit/test_int8_model.c tests/unit/int8_model.c tests/unit/test_checkpoint.c tests/unit/test_eval_coco.c tests/unit/test_eval_measures.c tests/unit/test_eval_compare.c tests/unit/test_report.c tests/unit/test_quant.c tests/unit/test_quant_cost.c tests/unit/test_quant_equalize.c tests/unit/test_quant_adaround.c tests/unit/test_quant_search.c tests/unit/test_anchors.c tests/unit/test_nms.c tests/unit/test_filter.c tests/unit/eval_cases.c tests/unit/refuse.c
# tests/fuzz/fuzz_NAME.c and tests/bench/bench_NAME.c are named here by NAME.
FUZZ_TARGETS = json record coco image checkpoint metadata voc yolo results anchors nms
BENCHES = kernels nms
# Programs that benchmarks use.
BENCH_TOOLS = make_coco timed
# Programs that tests/cli uses.
TEST_TOOLS = quantize_cases

LIB_OBJ = $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ = $(CLI_SRC:%.c=$(BUILD)/%.o)
UNIT_OBJ = $(UNIT_SRC:%.c=$(BUILD)/%.o)
PROGRAM_FILES = $(PROGRAMS:%=$(BUILD)/bin/%)
REPLAY_FILES = $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/replay_%)
BENCH_FILES = $(BENCHES:%=$(BUILD)/tests/bench/%)
BENCH_TOOL_FILES = $(BENCH_TOOLS:%=$(BUILD)/tests/bench/%)
TEST_TOOL_FILES = $(TEST_TOOLS:%=$(BUILD)/tests/cli/%)
UNIT_FILE = $(if $(filter yes,$(HAVE_CRITERION)),$(BUILD)/tests/unit_tests)

VERSION := $(shell sed -n 's/^\#define FRCNN_VERSION "\(.*\)"/\1/p' lib/frcnn.h)
SOVERSION = 0
SHARED = libfrcnn.so.$(VERSION)

all: $(PROGRAM_FILES) $(BUILD)/libfrcnn.a $(BUILD)/$(SHARED)

# Holds the flags of the last build here; other flags build everything anew.
$(BUILD)/flags: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(CC) $(ALL_CFLAGS) / $(ISA_X86) / $(CRITERION_CFLAGS) / $(ALL_LDFLAGS) $(LIBS))
	@if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ISA_FLAGS) -MMD -MP -c -o $@ $<

# The only object that knows which kernel sets are built.
$(BUILD)/lib/kernels/dispatch.o: private ALL_CFLAGS += $(if $(filter yes,$(ISA_X86)),-DFRCNN_KERNELS_X86)

# The only object that knows where things are installed.
$(BUILD)/bin/cli/share.o: private ALL_CFLAGS += -DFRCNN_DATADIR='"$(DATADIR)"'

$(BUILD)/tests/unit/%.o: tests/unit/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CRITERION_CFLAGS) $(ISA_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libfrcnn.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# Only what frcnn.h marks FRCNN_API is seen from outside.
$(BUILD)/$(SHARED): $(LIB_OBJ)
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libfrcnn.so.$(SOVERSION) -o $@ $^ $(LIBS)
	@ln -sf $(SHARED) $(BUILD)/libfrcnn.so.$(SOVERSION)
	@ln -sf $(SHARED) $(BUILD)/libfrcnn.so

$(PROGRAM_FILES): $(BUILD)/bin/%: $(BUILD)/bin/%.o $(CLI_OBJ) $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

# What one program alone has beside its main file.
EVAL_PROGRAM_SRC = bin/eval/options.c bin/eval/inputs.c bin/eval/outputs.c
$(BUILD)/bin/frcnn-eval: $(EVAL_PROGRAM_SRC:%.c=$(BUILD)/%.o)
DETECT_PROGRAM_SRC = bin/detect/crew.c
$(BUILD)/bin/frcnn-detect: $(DETECT_PROGRAM_SRC:%.c=$(BUILD)/%.o)
NMS_PROGRAM_SRC = bin/nms/options.c bin/nms/sweep.c
$(BUILD)/bin/frcnn-nms: $(NMS_PROGRAM_SRC:%.c=$(BUILD)/%.o)
QUANTIZE_PROGRAM_SRC = bin/quantize/sets.c bin/quantize/plan.c bin/quantize/refine.c bin/quantize/search.c \
	bin/quantize/run.c bin/quantize/show.c bin/quantize/page.c
$(BUILD)/bin/frcnn-quantize: $(QUANTIZE_PROGRAM_SRC:%.c=$(BUILD)/%.o) $(BUILD)/bin/eval/options.o

# ---- tests ---------------------------------------------------------------

# Allocations pass through tests/unit/refuse.c, which can make them fail.
UNIT_WRAP = $(addprefix -Wl$(comma)--wrap=frcnn_,calloc realloc alloc_aligned strdup strndup grow)
comma = ,

$(BUILD)/tests/unit_tests: $(UNIT_OBJ) $(CLI_OBJ) $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(UNIT_WRAP) -o $@ $^ $(CRITERION_LIBS) $(LIBS)

$(REPLAY_FILES): $(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# tests/run.sh runs each kind of test and adds them up.
$(TEST_TOOL_FILES): $(BUILD)/tests/cli/%: $(BUILD)/tests/cli/%.o $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

tests: all $(UNIT_FILE) $(REPLAY_FILES) $(TEST_TOOL_FILES)

check: tests
	@CC='$(CC)' MAKE='$(MAKE)' BUILD='$(BUILD)' SANITIZE='$(SANITIZE)' UNIT='$(UNIT_FILE)' \
		PROGRAMS='$(PROGRAMS)' FUZZ_TARGETS='$(FUZZ_TARGETS)' sh tests/run.sh

$(BENCH_FILES): $(BUILD)/tests/bench/%: $(BUILD)/tests/bench/bench_%.o $(CLI_OBJ) $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BENCH_TOOL_FILES): $(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

bench: all $(BENCH_FILES) $(BENCH_TOOL_FILES)
	@set -e; for bench in $(BENCH_FILES); do echo "== $$bench"; $$bench; done
	@echo "== tests/bench/nms.sh"; BUILD='$(BUILD)' sh tests/bench/nms.sh
	@echo "== tests/bench/detect.sh"; BUILD='$(BUILD)' sh tests/bench/detect.sh
	@echo "== tests/bench/eval.sh"; if [ -n "$(BENCH_EVAL)" ]; then BUILD='$(BUILD)' sh tests/bench/eval.sh; \
		else echo "eval: skipped: minutes beside other packages, say BENCH_EVAL=1"; fi
	@echo "== tests/bench/quantize.sh"; if [ -n "$(BENCH_QUANTIZE)" ]; then BUILD='$(BUILD)' sh tests/bench/quantize.sh; \
		else echo "quantize: skipped: minutes of quantizing, say BENCH_QUANTIZE=1"; fi

# libFuzzer programs, a tree of objects of their own: make fuzz && build/fuzz/fuzz_json -max_total_time=60 tests/fuzz/corpus/json
fuzz:
	$(MAKE) CC=clang BUILD=$(BUILD)/fuzz SANITIZE=fuzzer-no-link,address,undefined \
		CFLAGS='-O1 -g' $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)

$(FUZZ_TARGETS:%=$(BUILD)/fuzz_%): $(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/libfrcnn.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Minutes: not part of check.
mutants:
	@MAKE='$(MAKE)' sh tests/mutate/run.sh $(MUTANTS)

# ---- upkeep --------------------------------------------------------------

MAN_PAGES = $(wildcard man/*.[1-8])
FORMATTED = $(shell find bin lib tests -name '*.[ch]')

lint:
	mandoc -T lint -W warning $(MAN_PAGES)

format:
	$(CLANG_FORMAT) -i $(FORMATTED)

format-check:
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

clean:
	rm -rf $(BUILD)

# For the test that no source is forgotten in the lists above; the other machines' kernels too.
list-sources:
	@printf '%s\n' $(LIB_SRC) $(CLI_SRC) $(EVAL_PROGRAM_SRC) $(DETECT_PROGRAM_SRC) $(NMS_PROGRAM_SRC) $(QUANTIZE_PROGRAM_SRC) $(PROGRAMS:%=bin/%.c) $(UNIT_SRC) $(FUZZ_TARGETS:%=tests/fuzz/fuzz_%.c) \
		$(BENCHES:%=tests/bench/bench_%.c) $(BENCH_TOOLS:%=tests/bench/%.c) $(TEST_TOOLS:%=tests/cli/%.c)

# ---- installation --------------------------------------------------------

BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DATADIR = $(PREFIX)/share/frcnn
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
SHARE_FILES = $(patsubst share/%,%,$(shell find share -type f ! -name '.*' | sort))
INSTALL = install
INSTALL_DATA = $(INSTALL) -m 644

$(BUILD)/frcnn.pc: lib/frcnn.pc.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' -e 's|@PACKAGES@|$(PACKAGES)|' lib/frcnn.pc.in >$@

install: all $(BUILD)/frcnn.pc
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(DATADIR)
	$(INSTALL) -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	set -e; for program in $(PROGRAMS); do \
		$(INSTALL) -m 755 $(BUILD)/bin/$$program $(DESTDIR)$(BINDIR)/$$program; \
		$(INSTALL_DATA) completions/frcnn.bash $(DESTDIR)$(BASHDIR)/$$program; \
		$(INSTALL_DATA) completions/frcnn.fish $(DESTDIR)$(FISHDIR)/$$program.fish; \
	done
	$(INSTALL_DATA) completions/_frcnn $(DESTDIR)$(ZSHDIR)/_frcnn
	$(INSTALL_DATA) $(BUILD)/libfrcnn.a $(DESTDIR)$(LIBDIR)/libfrcnn.a
	$(INSTALL) -m 755 $(BUILD)/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/libfrcnn.so.$(SOVERSION)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/libfrcnn.so
	$(INSTALL_DATA) $(BUILD)/frcnn.pc $(DESTDIR)$(LIBDIR)/pkgconfig/frcnn.pc
	$(INSTALL_DATA) lib/frcnn.h $(DESTDIR)$(INCLUDEDIR)/frcnn.h
	set -e; for page in $(notdir $(MAN_PAGES)); do \
		$(INSTALL) -d $(DESTDIR)$(MANDIR)/man$${page##*.}; \
		$(INSTALL_DATA) man/$$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$$page; \
	done
	set -e; for file in $(SHARE_FILES); do \
		$(INSTALL) -d "$$(dirname $(DESTDIR)$(DATADIR)/$$file)"; \
		$(INSTALL_DATA) share/$$file $(DESTDIR)$(DATADIR)/$$file; \
	done

# Takes away what install put there, and of the folders only its own.
uninstall:
	set -e; for program in $(PROGRAMS); do \
		rm -f $(DESTDIR)$(BINDIR)/$$program $(DESTDIR)$(BASHDIR)/$$program $(DESTDIR)$(FISHDIR)/$$program.fish; \
	done
	rm -f $(DESTDIR)$(ZSHDIR)/_frcnn $(DESTDIR)$(LIBDIR)/libfrcnn.a $(DESTDIR)$(LIBDIR)/pkgconfig/frcnn.pc
	rm -f $(DESTDIR)$(LIBDIR)/$(SHARED) $(DESTDIR)$(LIBDIR)/libfrcnn.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libfrcnn.so
	rm -f $(DESTDIR)$(INCLUDEDIR)/frcnn.h
	set -e; for page in $(notdir $(MAN_PAGES)); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$$page; done
	set -e; for file in $(SHARE_FILES); do rm -f $(DESTDIR)$(DATADIR)/$$file; done
	if [ -d $(DESTDIR)$(DATADIR) ]; then find $(DESTDIR)$(DATADIR) -depth -type d -exec rmdir --ignore-fail-on-non-empty {} + ; fi

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(CLI_OBJ) $(EVAL_PROGRAM_SRC:%.c=$(BUILD)/%.o) $(DETECT_PROGRAM_SRC:%.c=$(BUILD)/%.o) $(NMS_PROGRAM_SRC:%.c=$(BUILD)/%.o) $(QUANTIZE_PROGRAM_SRC:%.c=$(BUILD)/%.o) $(UNIT_OBJ) $(PROGRAMS:%=$(BUILD)/bin/%.o) \
	$(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/fuzz_%.o) $(BENCHES:%=$(BUILD)/tests/bench/bench_%.o) $(BENCH_TOOLS:%=$(BUILD)/tests/bench/%.o) $(TEST_TOOLS:%=$(BUILD)/tests/cli/%.o))

.PHONY: all tests check bench mutants fuzz lint format format-check clean list-sources install uninstall FORCE
.SECONDARY:
