# How libtwist-cuda.so is built (make CUDA=1), for GPUs of compute capability 8.0 and newer, and its sources as the tests run them without
# a GPU (tests/emulate). Where CUDA's headers or a C++ compiler are missing there is no emulation, and what needs it is skipped.
CUDA_PATH ?= /usr/local/cuda
NVCC ?= $(CUDA_PATH)/bin/nvcc
CUDA_ARCH ?= 80 90
CUDA_NEWEST = $(lastword $(CUDA_ARCH))
CUDA_C = $(patsubst lib/cuda/%.c,$B/lib/cuda/%.o,$(wildcard lib/cuda/*.c))
CUDA_OPT ?= -O3
CUDA_KERNELS ?= $B/lib/cuda
CUDA_OBJ = $(CUDA_C) $(patsubst lib/cuda/%.cu,$(CUDA_KERNELS)/%.cu.o,$(wildcard lib/cuda/*.cu))
CUDA_SO = $(if $(CUDA),$(BIN)/libtwist-cuda.so)
EMULATED_OBJ = $(CUDA_C) $(patsubst %,$B/emulated/%.o,$(basename $(wildcard lib/cuda/*.cu tests/emulate/*.cc)))
EMULATED_FLAGS = -std=c++17 -g -O2 -fPIC -fno-strict-aliasing -ffp-contract=off -Wall -Wextra $(WERROR) -Wno-unknown-pragmas -DTW_EMULATED \
	-Ilib -Itests/emulate -isystem $(CUDA_PATH)/include -MMD -MP
EMULATED_SO = $(if $(and $(wildcard $(CUDA_PATH)/include/cudnn.h),$(wildcard $(CUDA_PATH)/include/nccl.h),$(shell command -v $(CXX))),\
	$B/unit/libtwist-cuda.so $B/unit/libnccl.so.2)

# Packed, a fourth is left of the device code; nvcc can since CUDA 12.8.
CUDA_FLAGS = -std=c++17 $(CUDA_OPT) $(foreach a,$(CUDA_ARCH),-gencode=arch=compute_$a,code=sm_$a) \
	-gencode=arch=compute_$(CUDA_NEWEST),code=compute_$(CUDA_NEWEST) $(CUDA_PACKS) \
	-Ilib -Xcompiler -fPIC,-Wall,-Wextra $(if $(WERROR),-Werror all-warnings)
CUDA_PACKS = $(if $(shell $(NVCC) --help 2>/dev/null | grep -e --compress-mode),--compress-mode=size)
CUDA_SETTINGS = $(NVCC) $(CUDA_ARCH) $(CUDA_OPT)
$(CUDA_KERNELS)/settings: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(CUDA_SETTINGS)' | cmp -s - $@ || printf '%s\n' '$(CUDA_SETTINGS)' > $@

$B/lib/cuda/%.o: lib/cuda/%.c $B/settings
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -isystem $(CUDA_PATH)/include -c $< -o $@
$(CUDA_KERNELS)/%.cu.o: lib/cuda/%.cu $(CUDA_KERNELS)/settings
	@mkdir -p $(@D)
	$(NVCC) $(CUDA_FLAGS) -MMD -MP -c $< -o $@
$(BIN)/libtwist-cuda.so: $(CUDA_OBJ) $B/libtwist.a
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) -o $@ $(CUDA_OBJ) -Wl,--no-undefined -Wl,--exclude-libs,ALL $B/libtwist.a \
	  -L$(CUDA_PATH)/lib -L$(CUDA_PATH)/lib64 -lcudnn -lcublasLt -lcudart_static -lstdc++ -ldl -lrt -lm -lpthread
# What the true cuDNN says to convolutions and attention; it needs no device.
UNIT += $(if $(and $(wildcard $(CUDA_PATH)/include/cudnn.h),$(wildcard $(CUDA_PATH)/lib*/libcudnn.so)),$B/unit/cuda_plans_test)
$B/tests/gpu/plans_test.o: tests/gpu/plans_test.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -isystem $(CUDA_PATH)/include -c $< -o $@
PLANS_OBJ = $(patsubst %,$B/lib/cuda/%.o,dnn conv_graph form attention_graph linear_graph check)
$B/unit/cuda_plans_test: $B/tests/gpu/plans_test.o $(PLANS_OBJ) $B/libtwist.a | $B/unit/null_driver/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ -L$(CUDA_PATH)/lib -L$(CUDA_PATH)/lib64 -Wl,-rpath,$(CUDA_PATH)/lib:$(CUDA_PATH)/lib64 -lcudnn -lcublasLt \
	  -lcudart_static -ldl -lrt -lm -lpthread
$B/unit/null_driver/libcuda.so.1: tests/gpu/null_driver.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O1 $(WARN) $(WERROR) -fPIC -shared -Wl,-soname,libcuda.so.1 -isystem $(CUDA_PATH)/include -o $@ $<
# The benchmark of tests/gpu/run; the real library is looked for beside it and in ../lib.
$B/unit/gpu_bench: $B/tests/gpu/bench.o $B/libtwist.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $B/libtwist.a $(LDLIBS)
$B/emulated/%.o: %.cu
	@mkdir -p $(@D)
	$(CXX) -x c++ $(EMULATED_FLAGS) -c $< -o $@
$B/emulated/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(EMULATED_FLAGS) -O3 -c $< -o $@
$B/unit/libtwist-cuda.so: $(EMULATED_OBJ) $B/libtwist.a
	@mkdir -p $(@D)
	$(CXX) -shared $(CFLAGS) -o $@ $(EMULATED_OBJ) -Wl,--no-undefined -Wl,--exclude-libs,ALL $B/libtwist.a -lm -lpthread -ldl \
	  -Wl,-soname,$(@F) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN'
# Found beside the emulation, and in its turn finds that by its name.
$B/unit/libnccl.so.2: $B/emulated/tests/emulate/nccl/nccl.o $B/unit/libtwist-cuda.so
	$(CXX) -shared $(CFLAGS) -o $@ $< -Wl,-soname,$(@F) -L$(@D) -l:libtwist-cuda.so -lrt
