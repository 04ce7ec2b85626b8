"""Cases that tell apart how a real factor was evaluated: scales near a tie, so that float32 and float64 arithmetic
give another code somewhere.  A candidate is kept only if the rules, with every float32 step made float64 or the
other way round, give another result."""
import numpy as np

import evaluate
import rules
from draw import Case, Draw, RANGES, every_code, one_input
from network import Net, load


class Precision:
    """Every float32 rounding of the rules becomes float64 (wide) or every float64 becomes float32."""

    def __init__(self, wide):
        self.name, self.value = ("f32", np.float64) if wide else ("f64", np.float32)
        self.wide = wide

    def outputs(self, raw, inputs):
        tensors, operators, graph_inputs, graph_outputs = load(raw)
        if self.wide:
            for t in tensors:
                t.scales = [np.float64(s) for s in t.scales]
        kept = getattr(rules, self.name)
        setattr(rules, self.name, self.value)
        try:
            values = dict(zip(graph_inputs, inputs))
            for op in operators:
                args = [values[i] if i in values else tensors[i].data for i in op.inputs]
                values.update(zip(op.outputs, evaluate.apply(op, tensors, args)))
        finally:
            setattr(rules, self.name, kept)
        return [values[i] for i in graph_outputs]


def tells_apart(case):
    for inputs in case.inputs:
        ours = evaluate.evaluate(case.raw, inputs)
        for wide in (True, False):
            if any((a != b).any() for a, b in zip(ours, Precision(wide).outputs(case.raw, inputs))):
                return True
    return False


def near_tie(draw, real, low=1, high=255, most=126):
    """sy such that x * real / sy is within float32 rounding of k + 1/2 for some x in low..high."""
    x, k = draw.between(low, high), draw.between(1, most)
    return np.float32(float(real) * x / (k + 0.5))


def pointwise(op, draw, name, dtype):
    sx, low = draw.scale(-8, 0), RANGES[dtype][0]
    zx, zy = draw.pick(low, low + 255), draw.pick(low, low + 128)
    alpha, sa = float(np.float32(draw.rng.random())), draw.scale(-10, -6)
    real = {"LEAKY_RELU": sx * alpha, "PRELU": sx * sa}.get(op, sx)
    sy = near_tie(draw, real, 1, 255 if op != "PRELU" else 20000)

    def build(net, x):
        y, inputs = net.value([1, 16, 16, 1], dtype, sy, zy), [x]
        if op == "PRELU":
            inputs.append(net.const(draw.codes([1, 16, 16, 1], dtype), None, [sa], [low]))
        net.op(op, inputs, [y], **({"alpha": alpha} if op == "LEAKY_RELU" else {}))
        return [y]

    return one_input(draw, name, [1, 16, 16, 1], dtype, sx, zx, build, codes=[every_code(dtype)])


def two_operands(op, draw, name, dtype):
    """All 65,536 pairs of codes."""
    sa, low = draw.scale(-6, 0), RANGES[dtype][0]
    sb = draw.near(sa, 2)
    sy = near_tie(draw, float(sa) * float(sb), 1, 40000) if op == "MUL" else near_tie(draw, max(sa, sb))
    net, codes = Net(), every_code(dtype)
    a = net.input([256, 1], dtype, sa, draw.pick(low, low + 128, low + 255))
    b = net.input([1, 256], dtype, sb, draw.pick(low, low + 128, low + 255))
    y = net.value([256, 256], dtype, sy, low + 128)
    net.op(op, [a, b], [y], fusedActivationFunction=0)
    return Case(name, net.pack([y]), [[codes.reshape(256, 1), codes.reshape(1, 256)]])


def mean(_op, draw, name, dtype):
    n, sx, low = draw.between(1, 50), draw.scale(-8, 0), RANGES[dtype][0]
    sy = near_tie(draw, float(sx) / n, 1, 255 * n)
    shape = [256, n]

    def build(net, x):
        y = net.value([256], dtype, sy, low)
        net.op("MEAN", [x, net.indices([1])], [y], keepDims=False)
        return [y]
    codes = [np.sort(draw.rng.integers(low, low + 256, shape), 0).astype(dtype) for _ in range(2)]
    return one_input(draw, name, shape, dtype, sx, low, build, codes=codes)


def bounded(op, draw, name, dtype):
    """RELU6 and its like: the bound 6 / sy lies next to a half."""
    sy, low = np.float32(12 / (2 * draw.between(1, 250) + 1)), RANGES[dtype][0]
    if draw.chance(0.5):
        sy = np.nextafter(sy, np.float32(draw.pick(0, 10)))

    def build(net, x):
        y = net.value([1, 16, 16, 1], dtype, sy, low)
        if op == "RELU6":
            net.op(op, [x], [y])
        else:
            net.op("ADD", [x, net.const(np.array([low], dtype), None, [np.float32(1e-3)], [low])], [y], fusedActivationFunction=3)
        return [y]
    return one_input(draw, name, [1, 16, 16, 1], dtype, np.float32(0.05), low, build, codes=[every_code(dtype)])


def from_bias(op, draw, name, dtype):
    """The input is its zero point, so the accumulators are the biases: they sit around the ties of every code."""
    units, low = 96, RANGES[dtype][0]
    sx, sw = np.float32(draw.rng.uniform(0.001, 0.1)), np.float32(draw.rng.uniform(0.001, 0.1))
    sy = np.float32(float(sx) * float(sw) * 2.0 ** draw.rng.uniform(16, 23.5))
    per_channel = dtype == "int8" and draw.chance(0.5)
    scales = [draw.near(sw, 0.3) for _ in range(units)] if per_channel else [sw]
    factors = np.array(scales, np.float64) * float(sx) / float(sy)
    ties = (draw.rng.integers(-126, 126, units) + 0.5) / factors
    bias = np.clip(np.rint(ties) + draw.rng.integers(-9, 10, units), -(2**31), 2**31 - 1).astype(np.int32)
    conv, depthwise = op != "FULLY_CONNECTED", op == "DEPTHWISE_CONV_2D"
    shape = [1, 1, 1, units if depthwise else 2] if conv else [1, 2]
    zx = draw.zero_point(dtype)

    def build(net, x):
        w_shape = [1, 1, 1, units] if depthwise else [units, 1, 1, 2] if conv else [units, 2]
        data = draw.weights(w_shape) if dtype == "int8" else draw.rng.integers(0, 256, w_shape).astype(np.uint8)
        zeros = [0] * len(scales) if dtype == "int8" else [draw.between(0, 255)]
        inputs = [x, net.const(data, None, scales, zeros, 3 if depthwise else 0)]
        inputs.append(net.const(bias, None, [np.float32(sx * s) for s in scales], [0] * len(scales)))
        y = net.value([1, 1, 1, units] if conv else [1, units], dtype, sy, low + 128)
        options = dict(padding=1, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1) if conv else {}
        if depthwise:
            options["depthMultiplier"] = 1
        net.op(op, inputs, [y], fusedActivationFunction=0, **options)
        return [y]
    return one_input(draw, name, shape, dtype, sx, zx, build, codes=[np.full(shape, zx, dtype)])


def concat(_op, draw, name, _dtype):
    sx = draw.scale(-8, 0)
    sy = near_tie(draw, sx)

    def build(net, x):
        y = net.value([1, 32, 16, 1], "uint8", sy, draw.pick(0, 128))
        net.op("CONCATENATION", [x, x], [y], axis=1)
        return [y]
    return one_input(draw, name, [1, 16, 16, 1], "uint8", sx, draw.pick(0, 3, 255), build, codes=[every_code("uint8")])


MAKERS = {"RELU": pointwise, "LEAKY_RELU": pointwise, "PRELU": pointwise, "QUANTIZE": pointwise, "HARD_SWISH": pointwise,
          "ADD": two_operands, "SUB": two_operands, "MUL": two_operands, "MEAN": mean, "RELU6": bounded, "ADD_RELU6": bounded,
          "CONV_2D": from_bias, "DEPTHWISE_CONV_2D": from_bias, "FULLY_CONNECTED": from_bias, "CONCATENATION": concat}


def precision(count):
    for op, make in MAKERS.items():
        for dtype in RANGES:
            kept = 0
            for i in range(count * 30):
                if kept == max(1, count // 3):
                    break
                case = make(op, Draw(f"precision{op}{dtype}{i}"), f"{op}_{dtype}_{i}", dtype)
                if tells_apart(case):
                    kept += 1
                    yield case


FAMILIES = {"PRECISION": [precision]}
