"""Writes every network in the forms that the runtimes read.

usage: make_networks.py FOLDER

    NAME.tflite      int8, channels last
    NAME.s8.onnx     int8 activations, int8 weights, channels first
    NAME.u8.onnx     uint8 activations, int8 weights: the form that x86 runtimes have their fastest kernels for
    NAME.float.onnx  what the outputs are held against
    NAME.json        multiply-accumulates of one picture

A network whose files are all there is left as it is.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

from onnxruntime.quantization import QuantType

import as_onnx
from as_tflite import tflite
from networks import NETWORKS


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in NETWORKS.items():
        if (folder / f"{name}.json").exists():  # written last
            continue
        net = make()
        forms = {
            "float.onnx": as_onnx.floating(net).SerializeToString(),
            "s8.onnx": as_onnx.quantized(net, QuantType.QInt8),
            "u8.onnx": as_onnx.quantized(net, QuantType.QUInt8),
            "tflite": tflite(net, as_onnx.ranges(net)),
            "json": json.dumps({"macs": net.macs()}).encode(),
        }
        for suffix, data in forms.items():
            (folder / f"{name}.{suffix}").write_bytes(data)
        print(f"{name}: {net.macs() / 1e9:.2f} GMAC", flush=True)


if __name__ == "__main__":
    main()
