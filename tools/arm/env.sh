# Source this: cross linker and emulator for `cargo --target aarch64-unknown-linux-gnu`.
#
# The emulator looks for the loader and the C library below the directory of -L. It must be `/`, where libc6:arm64 lies:
# the cross C library of /usr/aarch64-linux-gnu is older and spins forever in pthread_create under the emulator, so that
# every test binary hangs before its first test.
#
# ARM_CPU picks the emulated core: cortex-a53, cortex-a72 (ARMv8.0), cortex-a55, cortex-a76 (dotprod), max (i8mm too).
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/arm}"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu ${ARM_CPU:-cortex-a53} -L /"
