# make demo   a driver if there is none, the program, a small model trained on the built-in images
# make test   every test; one part of them is `cargo test --locked --release --test graph`, say
# make lint   format and lints, warnings denied; the library without the command as well; what is built in is listed
# make cross  type-checks for Windows and macOS, where rustup has their targets (CROSS=x86_64-pc-windows-gnu: for that)
# make mpi    what MPI needs on Debian, limn with it, its tests, and two ranks that train for a minute (make ranks: those
#             alone, FEATURES=mpi where limn is to be built with it)
# make bench  kernels and whole steps on this machine's device
# make trust  proofs that a person's work is kept: every call to the disk fails once, a hundred kills, devices that are
#             lost at every submission; every variant of a GPU in every case, and Khronos's validation of a step of every
#             family (in a Debian of its own); about two hours. `make test` has some of each. Mounts a small disk, where
#             it may, and has a C compiler make the layer that takes devices away
# make drivers  every kernel x driver x limits, target/drivers.md: the system's driver, SwiftShader where Chromium is, and a
#             newer Mesa (in a Debian of its own); hours on two cores
# make trust-windows  limn for Windows, built on Debian and run under Wine: its tests, and its kernels on Vulkan and DX12
# make mutants  mistakes made one by one in a copy of limn, in its shaders and in its presets' numbers: some test must
#             notice each; hours (MUTANTS=40: so many more are drawn). `make test` has those in presets
# make soak   an hour of signals, kills, full disks and contenders (SOAK_MINUTES=10: the short form)
# make fuzz   files that nobody wrote, for each of limn's readers, FUZZ_SECONDS of them each (600), by libFuzzer: a nightly
#             Rust is needed. FUZZ_READERS="sound film" takes these
# make supply what limn is built from: terms, versions and sources of its crates, those known to be at fault, and the bill of
#             materials, target/limn.cdx.json
# make dist   the program as it is handed on, target/dist/limn: everybody makes the same bytes of the same source
# make reproducible  makes it in two folders and compares; twice the time of a build
# make isa    what compilers of GPUs make of the kernels, beside a golden table; on Debian for amd64, without a GPU

# Where there is no desktop, Mesa's layer that sorts devices complains that it finds none: off, unless it is asked.
ifeq ($(XDG_RUNTIME_DIR)$(MESA_VK_DEVICE_SELECT)$(DRI_PRIME),)
export NODEVICE_SELECT := 1
endif

CARGO ?= cargo
# What limn is built and tested with besides what it always has: FEATURES=mpi.
FEATURES ?=
WITH = $(addprefix --features ,$(FEATURES))
LIMN := target/release/limn
DEMO_PRESET ?= vae
DEMO_STEPS ?= 2000
DEMO_OUT ?= runs/demo
# What demo and bench run on: the WGSL kernels wherever there is a driver, by its number where limn itself would rather
# take the processor. `make demo LIMN_DEVICE=cpu` takes another.
LIMN_DEVICE ?= $(shell $(LIMN) devices --json 2>/dev/null | grep -q '"backend":"cpu".*"default":true' && \
  $(LIMN) devices --json 2>/dev/null | sed -n 's/^{"index":\([0-9][0-9]*\),.*/\1/p' | head -n 1)
ON = $(addprefix --device ,$(LIMN_DEVICE))

# Ranks of the short training that `make mpi` ends with. Open MPI starts nothing as root, and no more ranks than there
# are cores, unless it is told to.
MPI_RANKS ?= 2
MPI_STEPS ?= 2000
MPI_OUT ?= runs/ranks
MPIRUN ?= mpirun
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
export OMPI_MCA_rmaps_base_oversubscribe := 1
export PRTE_MCA_rmaps_default_mapping_policy := :oversubscribe

# Tests that run at a time: one more than there are cores, as some wait for devices that hang, for signals and browsers.
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export RUST_TEST_THREADS ?= $(shell expr $(CORES) + 1)

# Mistakes drawn beside those of the list, and those tried of each file of shaders.
MUTANTS ?= 20
SHADER_MUTANTS ?= 6

# Targets that cross checks; the usual ones where none are said.
CROSS ?=

SOAK_MINUTES ?= 60
SOAK_DEVICES ?= cpu,llvmpipe

FUZZ_READERS ?=

.PHONY: demo test lint cross bench isa driver build mpi mpi-installed ranks trust drivers trust-windows mutants soak fuzz supply dist reproducible

demo: build driver
	rm -rf $(DEMO_OUT)
	$(LIMN) train $(DEMO_PRESET) $(ON) --steps $(DEMO_STEPS) --out $(DEMO_OUT)
	$(LIMN) sample $(DEMO_OUT) $(ON) --n 64 --out $(DEMO_OUT)/samples.png
	$(LIMN) latent $(DEMO_OUT) $(ON) reconstruct --out $(DEMO_OUT)/reconstructions.png
	@echo
	@echo "New images by the trained model: $(DEMO_OUT)/samples.png"
	@echo "Test images above their reconstructions: $(DEMO_OUT)/reconstructions.png"
	@echo "How the samples came about, step by step: $(DEMO_OUT)/samples/"

build:
	$(CARGO) build --locked --release $(WITH)

# Debian's software driver, where no device is found and apt-get can install it. Without one limn
# still runs, on its built-in CPU device.
driver: build
	@if ! $(LIMN) devices --json | grep -q -e '"vulkan"' -e '"metal"' -e '"dx12"'; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "no graphics driver found: installing Mesa's software Vulkan driver"; \
	    (apt-get install -y -qq mesa-vulkan-drivers libvulkan1 || \
	      (apt-get update -qq && apt-get install -y -qq mesa-vulkan-drivers libvulkan1)) >/dev/null 2>&1 || \
	      echo "that did not work; going on with the built-in CPU device"; \
	  else \
	    echo "no graphics driver found; going on with the built-in CPU device"; \
	  fi; \
	fi

# Open MPI and libclang, by which its functions are made known to Rust, where they are missing and apt-get can install
# them.
mpi-installed:
	@if ! command -v mpicc >/dev/null || ! command -v mpirun >/dev/null || ! ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "installing Open MPI and libclang"; \
	    packages="libopenmpi-dev openmpi-bin libclang-dev"; \
	    (apt-get install -y -qq $$packages || (apt-get update -qq && apt-get install -y -qq $$packages)) >/dev/null 2>&1 || \
	      echo "that did not work; an MPI with its headers and mpirun, and libclang, are needed"; \
	  else \
	    echo "an MPI with its headers and mpirun, and libclang, are needed"; \
	  fi; \
	fi

mpi: FEATURES := mpi
mpi: mpi-installed driver
	$(CARGO) test --locked --release $(WITH) --test ranks
	$(MAKE) ranks FEATURES=mpi

ranks: driver
	$(MPIRUN) -n $(MPI_RANKS) $(LIMN) devices
	rm -rf $(MPI_OUT)
	$(MPIRUN) -n $(MPI_RANKS) $(LIMN) train $(DEMO_PRESET) --steps $(MPI_STEPS) --out $(MPI_OUT)

test: driver
	@if command -v python3 >/dev/null; then \
	  for part in drivers gpu isa model mutants soak; do python3 benches/test_$$part.py || exit; done; \
	  else echo "there is no python3: the tests of benches/*.py and isa.sh are left out"; fi
	$(CARGO) test --locked --release $(WITH)

trust: driver
	LIMN_TRUST=1 $(CARGO) test --locked --release --lib trust:: -- --nocapture
	LIMN_TRUST=1 $(CARGO) test --locked --release --test command_line -- --nocapture --test-threads 1 kill:: lost:: disks::
	LIMN_TRUST=1 $(CARGO) test --locked --release --test kernels -- mixed:: not_finite:: fast_math::
	python3 benches/drivers.py --only "the system's"
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then LIMN_TRUST=1 benches/validation.sh; \
	  else echo "NOT TESTED: what the driver is asked for, by Khronos's validation: that Debian is made by root on Debian"; fi

drivers: driver
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  python3 benches/drivers.py --debian target/debian --report target/drivers.md; \
	  else python3 benches/drivers.py --report target/drivers.md; fi

trust-windows:
	benches/windows.sh

mutants: driver
	$(CARGO) test --locked --release --test train -- --nocapture pytorch::every_changed_number_of_a_preset_is_noticed
	LIMN_MUTANTS=$(SHADER_MUTANTS) $(CARGO) test --locked --release --test kernels -- --nocapture --ignored mutants::
	python3 benches/mutants.py --generate $(MUTANTS) --report target/mutants.md

soak: driver
	python3 benches/soak.py --limn $(LIMN) --minutes $(SOAK_MINUTES) --devices $(SOAK_DEVICES)

fuzz:
	fuzz/run.sh $(FUZZ_READERS)

supply:
	benches/supply.sh

dist:
	benches/dist.sh

reproducible:
	benches/reproducible.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --release --all-targets --features criterion -- -D warnings
	$(CARGO) clippy --locked --release --no-default-features --lib -- -D warnings
	@if command -v python3 >/dev/null; then python3 benches/licences.py --check; fi
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --offline check licenses bans sources; \
	  else echo "there is no cargo-deny: terms and versions of crates are left out; make supply brings it"; fi

cross:
	benches/cross.sh $(CROSS)

isa: build
	benches/isa.sh --limn $(LIMN)

bench: driver
	$(LIMN) bench $(ON)
	for preset in vae-conv-small dcgan-28-small pixelcnn-small; do $(LIMN) bench step $$preset $(ON); done
