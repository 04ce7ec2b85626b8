"""Trains small quantized networks with Brevitas on data that it draws itself, and exports them as QONNX and QCDQ.

usage: qonnx_networks.py FOLDER

Writes into FOLDER, seeded: kws_mlp_w3a3.onnx (a keyword-spotting kind of perceptron: 490 inputs, 12 classes, 3 bits),
conv_w4a4.onnx (convolutions, a depthwise one, a residual sum, pooling; 4 bits, first and last layer 8), both as QONNX;
conv_w4a4_qcdq.onnx, the same network with QuantizeLinear, Clip and DequantizeLinear; and NAME_x.npy, NAME_y.npy, the
samples to check them on.  Needs the packages brevitas, qonnx, torch, onnxoptimizer and onnxscript; takes about two minutes.
"""
import os
import sys

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from qonnx.util.cleanup import cleanup
from torch import nn

CLASSES = 12


def samples(shape, count, seed):
    """Noisy copies of one pattern per class."""
    rng = np.random.default_rng(99)
    patterns = rng.standard_normal((CLASSES, *shape)).astype(np.float32)
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    x = 0.6 * patterns[y] + rng.standard_normal((count, *shape)).astype(np.float32)
    return np.clip(x / 3, -1, 1).astype(np.float32), y.astype(np.int64)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True)
        sizes = [490, 128, 128, 128]
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [qnn.QuantLinear(a, b, bias=False, weight_bit_width=3), nn.BatchNorm1d(b),
                       qnn.QuantReLU(bit_width=3, return_quant_tensor=True)]
        self.body = nn.Sequential(*layers)
        self.head = qnn.QuantLinear(128, CLASSES, bias=False, weight_bit_width=3)

    def forward(self, x):
        return self.head(self.body(self.enter(x)))


def conv(a, b, k, bits, **other):
    return qnn.QuantConv2d(a, b, k, bias=False, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=bits, **other)


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)
        relu = lambda wrapped=True: qnn.QuantReLU(bit_width=4, return_quant_tensor=wrapped)
        self.a = nn.Sequential(conv(3, 16, 3, 8, padding=1), nn.BatchNorm2d(16), relu())
        self.b = nn.Sequential(conv(16, 16, 3, 4, padding=1, groups=16), nn.BatchNorm2d(16), relu(),
                               conv(16, 16, 1, 4), nn.BatchNorm2d(16))
        # One scale for both sides of the sum.
        self.joint = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.after = relu()
        self.c = nn.Sequential(conv(16, 32, 3, 4, stride=2, padding=1), nn.BatchNorm2d(32), relu(False))
        self.pool = nn.MaxPool2d(2)
        self.flat = nn.Flatten()
        self.head = qnn.QuantLinear(32 * 4, CLASSES, bias=True, weight_bit_width=8)

    def forward(self, x):
        x = self.a(self.enter(x))
        x = self.after(self.joint(self.b(x)) + self.joint(x))
        x = self.pool(self.c(x))
        return self.head(self.flat(x))


def train(net, x, y, steps, batch=64):
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(1)
    net.train()
    for _ in range(steps):
        pick = torch.randint(len(x), (batch,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[pick]), y[pick]).backward()
        optimizer.step()
    net.eval()
    return net


def write(folder, name, net, shape, steps):
    x, y = map(torch.from_numpy, samples(shape, 4000, 1))
    net = train(net, x, y, steps)
    tx, ty = samples(shape, 500, 2)
    with torch.no_grad():
        right = (net(torch.from_numpy(tx)).argmax(1).numpy() == ty).mean()
    path = os.path.join(folder, name + ".onnx")
    export_qonnx(net, torch.from_numpy(tx[:1]), export_path=path)
    cleanup(path, out_file=path)
    np.save(os.path.join(folder, name + "_x.npy"), tx)
    np.save(os.path.join(folder, name + "_y.npy"), ty)
    print(f"{name}: top-1 {right:.4f} in PyTorch")
    return net, torch.from_numpy(tx[:1])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    write(folder, "kws_mlp_w3a3", Mlp(), (490,), 400)
    net, example = write(folder, "conv_w4a4", Conv(), (3, 8, 8), 400)
    export_onnx_qcdq(net, example, export_path=os.path.join(folder, "conv_w4a4_qcdq.onnx"), opset_version=17)


if __name__ == "__main__":
    main()
