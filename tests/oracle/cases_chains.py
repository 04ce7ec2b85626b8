"""A few operators after one another, as converters emit them: what fuses, aliases or folds must not change a byte."""
import numpy as np

from draw import Case, Draw, one_input
from network import Net


class Chain:
    """Grows a graph on one tensor with sensible scales."""

    def __init__(self, draw, dtype, shape):
        self.draw, self.dtype, self.net = draw, dtype, Net()
        self.scale = {}
        self.first = self.net.input(shape, dtype, draw.scale(-7, -4), draw.zero_point(dtype))

    def tensor(self, i):
        return self.net.tensors[i]

    def like(self, i, shape=None, rescale=True):
        t = self.tensor(i)
        if not rescale:
            return self.net.value(shape or t.shape, t.dtype, t.scale, t.zero_point)
        return self.net.value(shape or t.shape, t.dtype, self.draw.near(t.scale, 0.7), self.draw.zero_point(self.dtype))

    def conv(self, x, cout, kernel=3, stride=1, depthwise=False):
        t, draw = self.tensor(x), self.draw
        cin = t.shape[3]
        cout = cin if depthwise else cout
        shape = [1, kernel, kernel, cout] if depthwise else [cout, kernel, kernel, cin]
        terms = kernel * kernel * (1 if depthwise else cin)
        sw = draw.scale(-9, -6)
        if self.dtype == "uint8":
            w = self.net.const(draw.rng.integers(0, 256, shape).astype(np.uint8), None, [sw], [draw.between(100, 150)])
            scales = [np.float32(t.scale * sw)]
        else:
            per = [draw.near(sw, 0.5) for _ in range(cout)]
            w = self.net.const(draw.weights(shape), None, per, [0] * cout, 3 if depthwise else 0)
            scales = [np.float32(t.scale * s) for s in per]
        span = int(np.sqrt(terms) * 3000)
        b = self.net.const(draw.rng.integers(-span, span, cout).astype(np.int32), None, scales, [0] * len(scales))
        out = [t.shape[0], -(-t.shape[1] // stride), -(-t.shape[2] // stride), cout]
        sy = draw.near(float(t.scale) * float(sw) * np.sqrt(terms) * 60, 0.5)
        y = self.net.value(out, self.dtype, sy, draw.zero_point(self.dtype))
        options = dict(padding=0, strideH=stride, strideW=stride, dilationHFactor=1, dilationWFactor=1,
                       fusedActivationFunction=draw.activation())
        if depthwise:
            options["depthMultiplier"] = 1
        self.net.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, w, b], [y], **options)
        return y

    def dense(self, x, units):
        t, draw = self.tensor(x), self.draw
        depth, sw = t.shape[-1], draw.scale(-9, -6)
        if self.dtype == "uint8":
            w = self.net.const(draw.rng.integers(0, 256, (units, depth)).astype(np.uint8), None, [sw], [128])
        else:
            w = self.net.const(draw.weights((units, depth)), None, [sw], [0])
        y = self.net.value([t.shape[0], units], self.dtype, np.float32(t.scale * sw * 60 * np.sqrt(depth)),
                           draw.zero_point(self.dtype))
        self.net.op("FULLY_CONNECTED", [x, w], [y], fusedActivationFunction=0)
        return y

    def one(self, op, x, shape=None, rescale=True, extra=(), **options):
        y = self.like(x, shape, rescale)
        self.net.op(op, [x, *extra], [y], **options)
        return y

    def case(self, name, outputs, sets=2):
        shape = self.tensor(self.first).shape
        return Case(name, self.net.pack(outputs), [[self.draw.codes(shape, self.dtype)] for _ in range(sets)])


def residual(chain):
    """conv -> conv -> add with the input of the block -> relu"""
    a = chain.conv(chain.first, 8)
    b = chain.conv(chain.conv(a, 12), 8, kernel=1)
    y = chain.like(b)
    chain.net.op("ADD", [a, b], [y], fusedActivationFunction=1)
    return [y, chain.one("RELU6", y)]


def inverted_bottleneck(chain):
    """pad -> depthwise stride 2 -> 1x1 -> mean -> reshape -> fully connected -> softmax"""
    n, h, w, c = chain.tensor(chain.first).shape
    p = chain.one("PAD", chain.first, [n, h + 1, w + 1, c], False, [chain.net.indices([[0, 0], [0, 1], [0, 1], [0, 0]])])
    x = chain.conv(chain.conv(p, c, stride=2, depthwise=True), 9, kernel=1)
    m = chain.one("MEAN", x, [n, 9], True, [chain.net.indices([1, 2])], keepDims=False)
    r = chain.one("RESHAPE", m, [n, 9], False, [chain.net.indices([n, 9])])
    f = chain.dense(r, 10)
    y = chain.net.value([n, 10], chain.dtype, np.float32(1 / 256), 0 if chain.dtype == "uint8" else -128)
    chain.net.op("SOFTMAX", [f], [y], beta=1.0)
    return [y]


def pyramid(chain):
    """split -> conv on one half -> concat with the other -> resize -> argmax; both halves stay alive"""
    n, h, w, c = chain.tensor(chain.first).shape
    halves = [chain.like(chain.first, [n, h, w, c // 2], False) for _ in range(2)]
    chain.net.op("SPLIT", [chain.net.const(np.array(3, np.int32)), chain.first], halves, numSplits=2)
    left = chain.one("AVERAGE_POOL_2D", halves[0], None, False, padding=0, strideH=1, strideW=1, filterHeight=3,
                     filterWidth=3, fusedActivationFunction=0)
    t = chain.like(halves[0], [n, h, w, c], False)
    chain.net.op("CONCATENATION", [left, halves[1]], [t], axis=3)
    r = chain.one("RESIZE_NEAREST_NEIGHBOR", t, [n, 2 * h, 2 * w, c], False, [chain.net.indices([2 * h, 2 * w])],
                  alignCorners=False, halfPixelCenters=True)
    y = chain.net.value([n, 2 * h, 2 * w], "int64")
    chain.net.op("ARG_MAX", [r, chain.net.const(np.array(3, np.int32))], [y], outputType=4)
    return [t, y]


def shuffle(chain):
    """reshape -> transpose -> reshape -> depthwise -> hard swish -> mul with a squeezed copy"""
    n, h, w, c = chain.tensor(chain.first).shape
    a = chain.one("RESHAPE", chain.first, [n, h, w, 2, c // 2], False, [chain.net.indices([n, h, w, 2, c // 2])])
    b = chain.one("TRANSPOSE", a, [n, h, w, c // 2, 2], False, [chain.net.indices([0, 1, 2, 4, 3])])
    d = chain.one("RESHAPE", b, [n, h, w, c], False, [chain.net.indices([n, h, w, c])])
    e = chain.one("HARD_SWISH", chain.conv(d, c, depthwise=True))
    g = chain.one("MEAN", e, [n, 1, 1, c], True, [chain.net.indices([1, 2])], keepDims=True)
    s = chain.net.value([n, 1, 1, c], chain.dtype, np.float32(1 / 256), 0 if chain.dtype == "uint8" else -128)
    chain.net.op("LOGISTIC", [g], [s])
    t = chain.tensor(e)
    y = chain.net.value([n, h, w, c], chain.dtype, np.float32(t.scale * 0.7), t.zero_point)
    chain.net.op("MUL", [e, s], [y], fusedActivationFunction=0)
    return [y]


def crossing(chain):
    """quantize to the other type and back around a pool; the input itself is used twice"""
    other = "uint8" if chain.dtype == "int8" else "int8"
    t = chain.tensor(chain.first)
    shift = 128 if other == "uint8" else -128
    q = chain.net.value(t.shape, other, t.scale, t.zero_point + shift)
    chain.net.op("QUANTIZE", [chain.first], [q])
    p = chain.net.value(t.shape, other, t.scale, t.zero_point + shift)
    chain.net.op("MAX_POOL_2D", [q], [p], padding=0, strideH=1, strideW=1, filterHeight=2, filterWidth=2,
                 fusedActivationFunction=0)
    back = chain.like(chain.first)
    chain.net.op("QUANTIZE", [p], [back])
    y = chain.like(back)
    chain.net.op("SUB", [back, chain.first], [y], fusedActivationFunction=0)
    return [y]


def chains(count):
    for make in (residual, inverted_bottleneck, pyramid, shuffle, crossing):
        for i in range(max(2, count // 2)):
            for dtype in ("int8", "uint8"):
                draw = Draw(f"chain{make.__name__}{dtype}{i}")
                shape = [draw.pick(1, 1, 2), draw.between(3, 8), draw.between(3, 8), 2 * draw.between(1, 6)]
                chain = Chain(draw, dtype, shape)
                yield chain.case(f"{make.__name__}_{dtype}_{i}", make(chain))


def passes_input_through(count):
    """The graph's output is a moved copy of its input, and an output that is also read further on."""
    for i in range(max(2, count // 4)):
        draw = Draw(f"through{i}")
        shape = [1, draw.between(1, 5), draw.between(1, 5), 4]

        def build(net, x):
            t = net.tensors[x]
            flat = net.value([1, shape[1] * shape[2] * 4], t.dtype, t.scale, t.zero_point)
            net.op("RESHAPE", [x, net.indices(net.tensors[flat].shape)], [flat])
            y = net.value(shape, t.dtype, draw.near(t.scale), draw.zero_point(t.dtype))
            net.op("RELU", [x], [y])
            z = net.value([1, shape[1], shape[2], 8], t.dtype, net.tensors[y].scale, net.tensors[y].zero_point)
            net.op("CONCATENATION", [y, y], [z], axis=3)
            return [flat, y, z]

        yield one_input(draw, f"through_{i}", shape, draw.pick("int8", "uint8"), draw.scale(-6, 0), 3, build)


FAMILIES = {"CHAIN": [chains, passes_input_through]}
