#!/usr/bin/env bash
# Compares Dyadic with other runtimes on this machine.
#
# usage: run.sh DIR [OPTION of compare.py...]
#
# DIR gets a virtual environment with the runtimes, the networks (1 GB in all), and the answer: results.md and results.json.
# What an earlier call left there is used again. DYADIC_MODELS may name a folder of real networks
# (tflite/NAME/model.tflite), of which those in REAL join. Needed: Linux, the toolchain of the workspace, and a Python that
# the versions in requirements.txt exist for (3.11 was tried).
set -euo pipefail
dir=${1:?usage: run.sh DIR [OPTION of compare.py...]}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$dir/networks"
dir=$(cd "$dir" && pwd)

readonly REAL=(
  mobilenet_v2_1.0_224_int8 mobilenet_v2_1.0_224_uint8 deeplab_dm05_uint8 resnet8_int8 vww_96_int8 kws_int8
)

[ -d "$dir/venv" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
"$dir/venv/bin/python" "$here/make_networks.py" "$dir/networks"
for name in "${REAL[@]}"; do
  file=${DYADIC_MODELS:-}/tflite/$name/model.tflite
  if [ -f "$file" ]; then cp "$file" "$dir/networks/$name.tflite"; fi
done

target=${CARGO_TARGET_DIR:-$here/../../target}
cargo build --release --manifest-path "$here/../../Cargo.toml" -p dyadic-cli
cargo build --release --manifest-path "$here/../../Cargo.toml" -p dyadic-benches --example worker
cd "$dir/networks"
for source in *.tflite *.u8.onnx; do
  case $source in
    *.tflite) form=(-o "${source%.tflite}.dyad") ;;
    *) form=(-o "${source%.u8.onnx}.onnx.dyad" --layout nhwc) ;;
  esac
  "$target/release/dyadic" compile "$source" "${form[@]}" >/dev/null || echo "not compiled: $source" >&2
done
exec "$dir/venv/bin/python" "$here/compare.py" "$dir" --binaries "$target/release" "$@"
