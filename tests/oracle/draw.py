"""Seeded random parameters: scales, zero points and codes that visit the corners often."""
import zlib

import numpy as np

from network import Net

RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
ACTIVATION_NUMBERS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}


class Case:
    """One file with its input sets; `note` says what it is about."""

    def __init__(self, name, raw, inputs, note=""):
        self.name, self.raw, self.inputs, self.note = name, raw, inputs, note


class Draw:
    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.powers = self.rng.random() < 0.15  # all scales of this case are powers of two: exact ties

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def between(self, lo, hi):
        return int(self.rng.integers(lo, hi + 1))

    def scale(self, low=-10.0, high=1.0):
        """float32, log-uniform; one in five a power of two."""
        e = self.rng.uniform(low, high)
        return np.float32(2.0 ** (round(e) if self.powers or self.chance(0.2) else e))

    def near(self, real, spread=0.5):
        """A float32 scale around `real`; now and then far away on either side."""
        if self.chance(0.2):
            spread = 7
        e = np.log2(float(real)) + self.rng.uniform(-spread, spread)
        return np.float32(2.0 ** (round(e) if self.powers else e))

    def zero_point(self, dtype):
        lo, hi = RANGES[dtype]
        return int(self.pick(lo, hi, 0 if dtype == "int8" else 128, self.between(lo, hi), self.between(lo, hi)))

    def codes(self, shape, dtype):
        lo, hi = RANGES[dtype]
        kind = self.between(0, 3)
        if kind == 0:
            return self.rng.choice([lo, hi], shape).astype(dtype)
        if kind == 1:
            centre = self.between(lo, hi)
            return np.clip(np.rint(self.rng.normal(centre, 20, shape)), lo, hi).astype(dtype)
        return self.rng.integers(lo, hi + 1, shape).astype(dtype)

    def weights(self, shape, bits=8):
        """s8 or s4 weights; -128 (-8) only now and then, as files made by converters avoid it."""
        limit = (1 << (bits - 1)) - 1
        low = -limit - 1 if self.chance(0.3) else -limit
        return self.rng.integers(low, limit + 1, shape).astype(np.int8)

    def activation(self):
        return ACTIVATION_NUMBERS[self.pick("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")]

    def picture(self, batch=True, side=(1, 9), channels=(1, 19)):
        """NHWC shape."""
        return [self.pick(1, 1, 2) if batch else 1, self.between(*side), self.between(*side), self.between(*channels)]


def every_code(dtype):
    """[1, 16, 16, 1] with each of the 256 codes once."""
    lo, hi = RANGES[dtype]
    return np.arange(lo, hi + 1).astype(dtype).reshape(1, 16, 16, 1)


def one_input(draw, name, shape, dtype, scale, zero_point, build, sets=3, note="", codes=None):
    """A Case with one graph input; `build(net, x)` adds operators and returns the graph outputs."""
    net = Net()
    x = net.input(shape, dtype, scale, zero_point)
    outputs = build(net, x)
    inputs = [[draw.codes(shape, dtype)] for _ in range(sets)] if codes is None else [[c] for c in codes]
    return Case(name, net.pack(outputs), inputs, note)
