"""Quantizes a float ONNX network with ONNX Runtime's static quantizer, and scores a network with ONNX Runtime.

usage: quantize_static.py quantize FLOAT.onnx PICTURES -o QUANTIZED.onnx [--mean M] [--std S]
       quantize_static.py score MODEL.onnx PICTURES LABELS.csv [--mean M] [--std S]

The network takes pictures as NCHW, RGB, (pixel - mean) / std.  `quantize` calibrates on the pictures at odd positions of
the folder (in the order of their names) and writes QuantizeLinear/DequantizeLinear pairs, INT8 activations and INT8
weights per channel.  `score` prints the top-1 of ONNX Runtime, to be held against `dyadic eval` on the same file.
"""
import argparse
import csv
import os

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image


def pictures(folder):
    return sorted(f for f in os.listdir(folder) if f.lower().endswith((".jpg", ".jpeg", ".png")))


def tensor(path, arguments):
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return ((pixels - arguments.mean) / arguments.std).transpose(2, 0, 1)[None].astype(np.float32)


class Odd(CalibrationDataReader):
    """The pictures at odd positions."""

    def __init__(self, name, arguments):
        files = pictures(arguments.pictures)[1::2]
        self.feeds = ({name: tensor(os.path.join(arguments.pictures, f), arguments)} for f in files)

    def get_next(self):
        return next(self.feeds, None)


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def quantize(arguments):
    name = session(arguments.model).get_inputs()[0].name
    quantize_static(
        arguments.model, arguments.output, Odd(name, arguments), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)


def score(arguments):
    runner = session(arguments.model)
    name = runner.get_inputs()[0].name
    with open(arguments.labels, newline="", encoding="utf-8") as file:
        labels = {row["file"]: int(row["class"]) for row in csv.DictReader(file)}
    right = 0
    for file, label in labels.items():
        logits = runner.run(None, {name: tensor(os.path.join(arguments.pictures, file), arguments)})[0]
        right += int(logits.reshape(-1).argmax() == label)
    print(f"{right} of {len(labels)}: {right / len(labels):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("quantize", "score"):
        sub = commands.add_parser(command)
        sub.add_argument("model")
        sub.add_argument("pictures")
        if command == "score":
            sub.add_argument("labels")
        else:
            sub.add_argument("-o", "--output", required=True)
        sub.add_argument("--mean", type=float, default=127.0)
        sub.add_argument("--std", type=float, default=128.0)
    arguments = parser.parse_args()
    {"quantize": quantize, "score": score}[arguments.command](arguments)


if __name__ == "__main__":
    main()
