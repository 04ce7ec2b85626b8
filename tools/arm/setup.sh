#!/bin/sh
# Installs what is needed to build and test aarch64 code on an x86-64 Debian host: a cross linker, the arm64 C library
# and the user-mode emulator. Idempotent and non-interactive; run as root. The Rust side is `rustup target add
# aarch64-unknown-linux-gnu`, which `.ci/run` does itself. Afterwards, in a shell:
#
#   . tools/arm/env.sh
#   cargo test --release --target aarch64-unknown-linux-gnu -p dyadic-kernels
#
# With --llvm also LLVM's machine-code analyzer and disassembler, for tools/arm/cycles.sh.
set -eu
export DEBIAN_FRONTEND=noninteractive

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
install() { apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "$@" >/dev/null; }

if ! dpkg --print-foreign-architectures | grep -qx arm64; then
  dpkg --add-architecture arm64
  apt-get update -qq
fi

packages='gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static libc6:arm64 libgcc-s1:arm64'
if [ "${1:-}" = --llvm ]; then packages="$packages llvm-22"; fi
missing=''
for package in $packages; do
  installed "$package" || missing="$missing $package"
done
if [ -n "$missing" ]; then
  # Package lists may be older than the archive: one retry with fresh ones.
  # shellcheck disable=SC2086
  install $missing || { apt-get update -qq && install $missing; }
fi
aarch64-linux-gnu-gcc --version | head -n 1
qemu-aarch64-static --version | head -n 1
