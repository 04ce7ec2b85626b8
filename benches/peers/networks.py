"""The networks that are compared, as lists of layers: ResNet-50, ResNet-18 and MobileNetV2 on 224x224 pictures.

Weights are seeded random numbers of the size that trained ones have (variance 2 / fan-in before a ReLU, batch
normalization folded, small on the branches of a residual sum), so that activations keep a sane range.  Dense integer
kernels take the same time for any values.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CLASSES = 1000
PICTURE = (3, 224, 224)


@dataclass
class Layer:
    """One operator.  `shape` is that of its output: channels, height, width."""

    kind: str  # conv, add, max_pool, mean, dense
    inputs: list[str]
    output: str
    shape: tuple[int, int, int]
    weights: np.ndarray | None = None  # OIHW, or OI when dense
    bias: np.ndarray | None = None
    stride: int = 1
    groups: int = 1
    activation: str | None = None  # relu, relu6


@dataclass
class Network:
    """Layers in the order of execution.  The input is called `picture`."""

    name: str
    generator: np.random.Generator
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, tuple[int, int, int]] = field(default_factory=lambda: {"picture": PICTURE})

    @property
    def output(self) -> str:
        return self.layers[-1].output

    def macs(self) -> int:
        """Multiply-accumulates of one picture."""
        return sum(l.weights.size * l.shape[1] * l.shape[2] for l in self.layers if l.weights is not None)

    def add(self, kind: str, inputs: list[str], shape: tuple[int, int, int], **rest) -> str:
        output = f"t{len(self.layers)}"
        self.layers.append(Layer(kind, inputs, output, shape, **rest))
        self.shapes[output] = shape
        return output

    def normal(self, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return (self.generator.standard_normal(shape) * deviation).astype(np.float32)

    def conv(self, x: str, channels: int, kernel: int, stride: int = 1, groups: int = 1,
             activation: str | None = None, gain: float = 1.0) -> str:
        depth, height, width = self.shapes[x]
        depth //= groups
        deviation = gain * np.sqrt((2.0 if activation else 1.0) / (depth * kernel * kernel))
        return self.add(
            "conv", [x], (channels, -(-height // stride), -(-width // stride)),
            weights=self.normal((channels, depth, kernel, kernel), deviation), bias=self.normal((channels,), 0.1),
            stride=stride, groups=groups, activation=activation)

    def head(self, x: str) -> None:
        """Mean over the picture and a dense layer."""
        depth = self.shapes[x][0]
        mean = self.add("mean", [x], (depth, 1, 1))
        self.add("dense", [mean], (CLASSES, 1, 1), weights=self.normal((CLASSES, depth), depth ** -0.5),
                 bias=self.normal((CLASSES,), 0.1))


def residual(net: Network, x: str, width: int, stride: int, bottleneck: bool) -> str:
    """A block of ResNet v1.5: the stride of a bottleneck is on its 3x3 convolution."""
    channels = width * (4 if bottleneck else 1)
    if bottleneck:
        y = net.conv(x, width, 1, activation="relu")
        y = net.conv(y, width, 3, stride, activation="relu")
        y = net.conv(y, channels, 1, gain=0.4)
    else:
        y = net.conv(x, width, 3, stride, activation="relu")
        y = net.conv(y, channels, 3, gain=0.4)
    same = stride == 1 and net.shapes[x][0] == channels
    skip = x if same else net.conv(x, channels, 1, stride)
    return net.add("add", [y, skip], net.shapes[y], activation="relu")


def resnet(name: str, seed: int, blocks: list[int], bottleneck: bool) -> Network:
    net = Network(name, np.random.default_rng(seed))
    x = net.conv("picture", 64, 7, 2, activation="relu")
    x = net.add("max_pool", [x], (64, 56, 56), stride=2)
    for stage, count in enumerate(blocks):
        for block in range(count):
            x = residual(net, x, 64 << stage, 2 if stage > 0 and block == 0 else 1, bottleneck)
    net.head(x)
    return net


# Of MobileNetV2's stages: expansion, channels, blocks, stride of the first block.
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def mobilenet_v2(name: str, seed: int) -> Network:
    net = Network(name, np.random.default_rng(seed))
    x = net.conv("picture", 32, 3, 2, activation="relu6")
    for expansion, channels, count, first in STAGES:
        for block in range(count):
            stride = first if block == 0 else 1
            depth = net.shapes[x][0]
            y = x if expansion == 1 else net.conv(x, depth * expansion, 1, activation="relu6")
            width = net.shapes[y][0]
            y = net.conv(y, width, 3, stride, groups=width, activation="relu6")
            y = net.conv(y, channels, 1)
            x = net.add("add", [y, x], net.shapes[y]) if stride == 1 and depth == channels else y
    net.head(net.conv(x, 1280, 1, activation="relu6"))
    return net


NETWORKS = {
    "resnet50": lambda: resnet("resnet50", 50, [3, 4, 6, 3], True),
    "resnet18": lambda: resnet("resnet18", 18, [2, 2, 2, 2], False),
    "mobilenet_v2": lambda: mobilenet_v2("mobilenet_v2", 2),
}
