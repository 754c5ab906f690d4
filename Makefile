# TWIST in C. `make help` lists the targets.
-include config.mk
PREFIX ?= /usr/local
DEST = $(DESTDIR)$(PREFIX)
CC ?= gcc
OPT ?= -O3
WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wvla
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -g $(OPT) -ffp-contract=off $(WARN) $(WERROR) -Ilib -I$B/proto -fPIC -MMD -MP $(CFLAGS)
B ?= build
BIN ?= bin
MPICC ?= mpicc

# libtwist.a is what every program links; opened at run time: libtwist-cpu.so (oneDNN) by those that compute, libtwist-mpi.so by ranks.
LIB_DIRS = core stream source image synth nn train comm checkpoint eval report feed
LIB_SRC = $(foreach d,$(LIB_DIRS),$(wildcard lib/$d/*.c))
CPU_SRC = $(wildcard lib/cpu/*.c)
PROGRAMS = $(patsubst src/%.c,$(BIN)/%,$(wildcard src/*.c))
UNIT = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*_test.c))
PROTO_OBJ = $(patsubst lib/%.proto,$B/proto/%.pb-c.o,$(wildcard lib/*/*.proto))
LIB_OBJ = $(LIB_SRC:%.c=$B/%.o) $(PROTO_OBJ)
CPU_OBJ = $(CPU_SRC:%.c=$B/%.o)
# Only where Open MPI's compiler wrapper is.
MPI_SO = $(if $(shell command -v $(MPICC)),$(BIN)/libtwist-mpi.so)
# msgpack-c is named msgpackc up to its version 5.
MSGPACK = $(shell pkg-config --libs msgpack-c 2> /dev/null || echo -lmsgpackc)
LDLIBS = $(MSGPACK) -ljpeg -lpng -lwebpdemux -lwebp -lgif -ltiff -lzstd -lz -lcjson -lprotobuf-c -lpthread -ldl -lm
# What `make lint` and `make fuzz` want beside these, the tests on AArch64, and those of jobs of Slurm, which starts services where it is installed.
DEBIAN_DEV = slurmctld slurmd slurm-client munge cppcheck clang libclang-rt-dev gcc-aarch64-linux-gnu qemu-user-static mmdebstrap
# 'A|B': whichever the release has.
DEBIAN = gcc make pkg-config procps libdnnl-dev libmsgpack-c-dev|libmsgpack-dev libjpeg-dev libpng-dev libwebp-dev libgif-dev libtiff-dev \
	libzstd-dev zlib1g-dev libcjson-dev libprotobuf-c-dev protobuf-compiler protobuf-c-compiler librandom123-dev libzmq3-dev libopenmpi-dev openmpi-bin \
	bats bats-support bats-assert mandoc

.DEFAULT_GOAL = all
include lib/cuda/rules.mk

all: $(PROGRAMS) $(BIN)/libtwist-cpu.so $(MPI_SO) $(CUDA_SO) ## all: programs and libraries, in bin/
help: ## help: this list
	@sed -n 's/^[a-z-]*:.*## //p' $(MAKEFILE_LIST)

# What is compiled otherwise than before is made again.
$B/settings: FORCE
	@mkdir -p $(@D); printf '%s\n' "$(CC) $(OPT) $(CFLAGS)" | cmp -s - $@ || printf '%s\n' "$(CC) $(OPT) $(CFLAGS)" > $@
FORCE:

$B/%.o: %.c $B/settings
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(if $(filter lib/cpu/%,$<),-fopenmp -fno-trapping-math) -c $< -o $@
# Messages in protobuf: protobuf-c's plugin writes their C, which is compiled without our warnings.
$B/proto/%.pb-c.c $B/proto/%.pb-c.h: lib/%.proto
	@mkdir -p $(@D)
	protoc --proto_path=lib --c_out=$B/proto $<
$B/proto/%.pb-c.o: $B/proto/%.pb-c.c $B/settings
	$(CC) -std=c11 -g $(OPT) -fPIC -I$B/proto $(CFLAGS) -c $< -o $@
$B/lib/report/events.o: $B/proto/report/event.pb-c.h
$B/libtwist.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(BIN)/libtwist-cpu.so: $(CPU_OBJ) $B/libtwist.a
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) -o $@ $(CPU_OBJ) -Wl,--exclude-libs,ALL $B/libtwist.a -ldnnl -fopenmp -lm -lpthread
$(BIN)/libtwist-mpi.so: lib/comm/mpi/mpi.c lib/comm/comm.h
	@mkdir -p $(@D)
	OMPI_CC=$(CC) $(MPICC) $(CFLAGS_ALL) -shared -o $@ $< -lpthread
$(BIN)/%: $B/src/%.o $B/libtwist.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $B/libtwist.a $(LDLIBS)
$B/unit/%: $B/tests/unit/%.o $B/libtwist.a | $(BIN)/libtwist-cpu.so $(MPI_SO) $(EMULATED_SO)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $B/libtwist.a $(LDLIBS) -Wl,--disable-new-dtags,-rpath,$(abspath $(BIN)),-rpath,'$$ORIGIN'
$B/bench/%: $B/tests/bench/%.o $B/libtwist.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $B/libtwist.a $(LDLIBS)
.SECONDARY:

deps: ## deps: the Debian packages this needs (as root, or through sudo)
	@set -e; s=; [ "$$(id -u)" = 0 ] || s=sudo; \
	for p in $(DEBIAN:%='%'); do \
	  if ! dpkg -s "$${p%|*}" > /dev/null 2>&1 && ! dpkg -s "$${p#*|}" > /dev/null 2>&1; then \
	    $$s apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive $$s apt-get satisfy -y -qq --no-install-recommends $(DEBIAN:%='%') > /dev/null; break; fi; done

deps-dev: deps ## deps-dev: the packages that lint, fuzz and the Slurm tests need as well
	@$(MAKE) --no-print-directory deps DEBIAN="$(DEBIAN_DEV)"

check: all $(UNIT) ## check: every test that needs no GPU; last line "N passed, N failed"
	@B=$B BIN=$(BIN) tests/run
check-long: check asan ubsan ## check-long: check, again under both sanitizers, then the long tests: soak, fuzzing
	@B=$B BIN=$(BIN) tests/run tests/long/*.bats
	$(MAKE) fuzz
demo: ## demo: the main job from pictures to a report under demo/ (DATA=folder: your own pictures)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j all
	@pipelines/demo $(if $(DATA),"$(DATA)")
bench: all ## bench: speed against the peers in the same run, as ratios
	@tests/bench/run
golden: ## golden: regenerate the golden vectors (with Python packages from PyPI)
	@tests/golden/make
install: all ## install: programs, pipelines and man pages under PREFIX
	umask 022; install -d $(DEST)/bin $(DEST)/lib $(addprefix $(DEST)/share/twist/,pipelines policies formats) $(foreach n,1 5 7,$(DEST)/share/man/man$n)
	install $(PROGRAMS) $(DEST)/bin
	install $(BIN)/libtwist-cpu.so $(MPI_SO) $(CUDA_SO) $(DEST)/lib
	# `install` makes new files, with modes of its own; a shell that runs an old one reads it to its end
	umask 022; cd pipelines && find . -type f | while read -r f; do m=644; [ ! -x "$$f" ] || m=755; \
	  install -D -m $$m "$$f" "$(abspath $(DEST))/share/twist/pipelines/$$f" || exit 1; done
	install -m 644 formats/policies/* $(DEST)/share/twist/policies
	install -m 644 formats/*.* $(DEST)/share/twist/formats
	$(foreach n,1 5 7,install -m 644 man/*.$n $(DEST)/share/man/man$n;)
asan: ## asan: the tests under AddressSanitizer
	# use_tls=0: the leak check crashes in the thread-local memory of OpenMP's threads; LD_LIBRARY_PATH: the emulation's NCCL, which the
	# sanitizer's own dlopen does not find beside who calls it
	mkdir -p build/asan/nccl && ln -sf ../unit/libnccl.so.2 build/asan/nccl
	TEST_SECONDS=2700 LD_LIBRARY_PATH=$(CURDIR)/build/asan/nccl \
	  LSAN_OPTIONS=use_tls=0:print_suppressions=0:suppressions=$(CURDIR)/tests/lsan.supp \
	  $(MAKE) check B=build/asan BIN=build/asan/bin OPT=-O1 CFLAGS="-fsanitize=address -fno-omit-frame-pointer"
ubsan: ## ubsan: the tests under UndefinedBehaviorSanitizer
	TEST_SECONDS=2700 $(MAKE) check B=build/ubsan BIN=build/ubsan/bin OPT=-O1 CFLAGS="-fsanitize=undefined -fno-sanitize-recover=all"
fuzz: ## fuzz: each fuzz target for FUZZ_SECONDS (60) seconds, with clang
	$(MAKE) B=build/fuzz CC=clang OPT=-O1 CFLAGS="-fsanitize=fuzzer-no-link,address" build/fuzz/libtwist.a
	@LDLIBS="$(LDLIBS)" tests/fuzz/run
lint: ## lint: warnings as errors, cppcheck, man pages
	@! awk 'length > 150 { print FILENAME ":" FNR ": longer than 150 columns" }' $$(find lib src -name '*.[ch]*') Makefile | grep .
	$(MAKE) all B=build/lint BIN=build/lint/bin WERROR=-Werror
	cppcheck --quiet --error-exitcode=1 --std=c11 -Ilib --enable=warning,portability --suppressions-list=tests/cppcheck.supp \
	  --library=tests/cppcheck.cfg -j2 lib src
	mandoc -T lint -W warning man/*
clean: ## clean: remove what was built
	rm -rf $B
	rm -f $(PROGRAMS) $(BIN)/libtwist-*.so
	@rmdir $(BIN) 2> /dev/null || true
.PHONY: FORCE all help deps deps-dev check check-long demo bench golden install asan ubsan fuzz lint clean
-include $(shell find $B -name '*.d' 2>/dev/null)
