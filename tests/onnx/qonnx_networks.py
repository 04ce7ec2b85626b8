"""Trains small quantized networks with Brevitas on data made here and exports them as QONNX.

usage: qonnx_networks.py FOLDER [--only NAME] [--seconds S] [--seed N]

Writes for each network NAME: NAME.onnx (cleaned by qonnx, as its users do), NAME.raw.onnx (as Brevitas wrote it),
NAME.script.onnx (the same with the older exporter of torch), NAME.npz (test inputs and labels), and for the one called
conv also conv.qcdq.onnx, the same network with QuantizeLinear, Clip and DequantizeLinear.  The seed fixes data, first
weights and order of training; training stops after S seconds, so that weights differ between machines.  README.md names
the packages.

- mlp: 490 inputs (49 frames of 10 coefficients), three hidden layers, weights and activations of 3 bits, 12 classes
- conv: convolutions, a depthwise one, a residual sum, pooling; weights of 4 and 8 bits, activations of 4 and 8
- trunc: average pooling whose low bits are truncated
- bipolar: weights and activations of two values between layers of 8 and 4 bits
"""
import argparse
import os
import time

import numpy as np
import torch
from torch import nn

import brevitas.nn as qnn
from brevitas.core.restrict_val import RestrictValueType
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int8WeightPerTensorFloat,
                            Int32Bias, SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst,
                            Uint8ActPerTensorFloat)

TEST = 512


class WideWeights(Int8WeightPerTensorFloat):
    """Weights that use the lowest code."""
    narrow_range = False


class NarrowAct(Int8ActPerTensorFloat):
    """Activations that leave the lowest code out."""
    narrow_range = True


def sounds(count, rng, classes=12, frames=49, coefficients=10):
    """Coefficients over time: a fixed curve per class, shifted, scaled and in noise."""
    shape = np.random.default_rng(77)
    t = np.arange(frames)[:, None] / frames
    curves = [sum(shape.normal(0, 1, coefficients) * np.sin(2 * np.pi * (k * t + shape.uniform(0, 1, coefficients)))
                  for k in range(1, 5)) for _ in range(classes)]
    labels = rng.integers(0, classes, count)
    x = np.stack([np.roll(curves[c], rng.integers(-3, 4), axis=0) * rng.uniform(0.6, 1.4) for c in labels])
    x += rng.normal(0, 1.3, x.shape)
    return x.reshape(count, -1).astype(np.float32), labels


def pictures(count, rng, classes=10, side=16):
    """Coloured gratings of five directions and two widths, in noise."""
    labels = rng.integers(0, classes, count)
    y, x = np.mgrid[0:side, 0:side]
    found = np.empty((count, 3, side, side), np.float32)
    for i, c in enumerate(labels):
        angle = (c % 5) * np.pi / 5 + rng.normal(0, 0.07)
        wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * (0.7 + 0.8 * (c // 5)) + rng.uniform(0, 6.3))
        found[i] = wave[None] * rng.uniform(0.3, 1, (3, 1, 1)) + rng.normal(0, 0.6, (3, side, side))
    return found, labels


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        layers, width = [qnn.QuantIdentity(bit_width=8, act_quant=Int8ActPerTensorFloat)], 490
        for _ in range(3):
            layers += [qnn.QuantLinear(width, 96, bias=False, weight_bit_width=3,
                                       weight_quant=Int8WeightPerTensorFloat),
                       nn.BatchNorm1d(96), qnn.QuantReLU(bit_width=3)]
            width = 96
        layers.append(qnn.QuantLinear(width, 12, bias=True, weight_bit_width=3))
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def convolution(a, b, size=3, bits=4, quant=Int8WeightPerTensorFloat, **more):
    return qnn.QuantConv2d(a, b, size, padding=size // 2, bias=False, weight_bit_width=bits, weight_quant=quant,
                           **more)


class Conv(nn.Module):
    """Per-channel scales in the first two layers, a narrow range before the sum, an integer bias at the end."""

    def __init__(self):
        super().__init__()
        self.input = qnn.QuantIdentity(bit_width=8, act_quant=Int8ActPerTensorFloat)
        self.first = nn.Sequential(convolution(3, 16, bits=8, quant=Int8WeightPerChannelFloat),
                                   nn.BatchNorm2d(16), qnn.QuantReLU(bit_width=4))
        self.depthwise = nn.Sequential(convolution(16, 16, quant=Int8WeightPerChannelFloat, groups=16),
                                       nn.BatchNorm2d(16), qnn.QuantReLU(bit_width=8))
        self.point = nn.Sequential(convolution(16, 16, size=1), nn.BatchNorm2d(16))
        self.shared = qnn.QuantIdentity(bit_width=4, act_quant=NarrowAct, return_quant_tensor=True)
        self.sum = qnn.QuantReLU(bit_width=8)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Sequential(convolution(16, 32, quant=WideWeights, stride=2), nn.BatchNorm2d(32),
                                    qnn.QuantReLU(bit_width=4, return_quant_tensor=True))
        self.mean = nn.AvgPool2d(4)
        self.mean_out = qnn.QuantIdentity(bit_width=8, act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)
        self.last = qnn.QuantLinear(32, 10, bias=True, weight_bit_width=4, bias_quant=Int32Bias)

    def forward(self, x):
        x = self.first(self.input(x))
        y = self.shared(self.point(self.depthwise(x)))
        x = self.sum(y + self.shared(x))
        x = self.second(self.pool(x))
        x = self.mean_out(self.mean(x))
        return self.last(x.flatten(1) if hasattr(x, "flatten") else torch.flatten(x, 1))


class Truncated(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = qnn.QuantIdentity(bit_width=8, act_quant=Int8ActPerTensorFloat)
        self.body = nn.Sequential(
            convolution(3, 16, stride=2), nn.BatchNorm2d(16), qnn.QuantReLU(bit_width=4),
            convolution(16, 32, stride=2), nn.BatchNorm2d(32),
            qnn.QuantReLU(bit_width=6, return_quant_tensor=True))
        self.pool = qnn.TruncAvgPool2d(kernel_size=4, bit_width=6)
        self.last = qnn.QuantLinear(32, 10, bias=True, weight_bit_width=4, bias_quant=Int32Bias)

    def forward(self, x):
        return self.last(torch.flatten(self.pool(self.body(self.input(x))), 1))


class Bipolar(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=8, act_quant=Int8ActPerTensorFloat),
            qnn.QuantLinear(490, 96, bias=False, weight_bit_width=8), nn.BatchNorm1d(96),
            qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst),
            qnn.QuantLinear(96, 96, bias=False, weight_quant=SignedBinaryWeightPerTensorConst),
            nn.BatchNorm1d(96), qnn.QuantReLU(bit_width=4),
            qnn.QuantLinear(96, 12, bias=True, weight_bit_width=4))

    def forward(self, x):
        return self.layers(x)


NETWORKS = {"mlp": (Mlp, sounds), "conv": (Conv, pictures), "trunc": (Truncated, pictures),
            "bipolar": (Bipolar, sounds)}


def value(x):
    return getattr(x, "value", x)


def train(network, data, rng, seconds):
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    x, labels = (torch.from_numpy(a) for a in data(8192, rng))
    end, batch, step = time.monotonic() + seconds, 32, 0
    network.train()
    while time.monotonic() < end:
        for part in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(value(network(x[part])), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if time.monotonic() > end:
                break
    network.eval()
    return step, float(loss.detach())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    from qonnx.util.cleanup import cleanup

    os.makedirs(arguments.folder, exist_ok=True)
    torch.set_num_threads(1)
    for name, (kind, data) in NETWORKS.items():
        if arguments.only not in (None, name):
            continue
        torch.manual_seed(arguments.seed)
        rng = np.random.default_rng(arguments.seed)
        network = kind()
        steps, loss = train(network, data, rng, arguments.seconds)
        x, labels = data(TEST, rng)
        with torch.no_grad():
            right = (value(network(torch.from_numpy(x))).argmax(1).numpy() == labels).mean()
        print(f"{name}: {steps} steps, loss {loss:.3f}, {100 * right:.1f} % of {TEST} test samples")
        path = os.path.join(arguments.folder, name)
        np.savez(path + ".npz", x=x, labels=labels)
        sample = torch.from_numpy(x[:1])
        export_qonnx(network, args=sample, export_path=path + ".raw.onnx")
        cleanup(path + ".raw.onnx", out_file=path + ".onnx")
        export_qonnx(network, args=sample, export_path=path + ".script.onnx", dynamo=False)
        if name == "conv":
            export_onnx_qcdq(network, args=sample, export_path=path + ".qcdq.onnx", dynamo=False)


if __name__ == "__main__":
    main()
