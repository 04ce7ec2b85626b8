"""Operators on codes one by one: two operands with broadcasting, activations, rescaling."""
import numpy as np

from draw import Draw, RANGES, Case, every_code, one_input
from network import Net


def broadcast_shapes(draw):
    full = draw.picture(side=(1, 6), channels=(1, 9))
    kind = draw.between(0, 6)
    if kind <= 1:
        return full, full, full
    if kind == 2:
        return full, [1], full
    if kind == 3:
        return full, [full[3]], full
    if kind == 4:
        return full, [full[0], 1, 1, full[3]], full
    if kind == 5:
        a, b = [full[0], full[1], 1, full[3]], [1, 1, full[2], 1]
        return a, b, full
    return full, [full[1], full[2], 1], full


def operand_scales(draw, name):
    sa = draw.scale(-8, 1)
    sb = draw.near(sa, 3)
    if name == "MUL":
        return sa, sb, draw.near(float(sa) * float(sb) * draw.pick(20, 60, 100))
    return sa, sb, draw.near(max(sa, sb) * draw.pick(0.5, 1, 1.5))


def binary_case(draw, op, name, dtype):
    a, b, out = broadcast_shapes(draw)
    if draw.chance(0.5):
        a, b = b, a
    sa, sb, sy = operand_scales(draw, op)
    if draw.chance(0.15):
        sa = sb = sy
    constant = draw.chance(0.35)
    net = Net()
    first = net.input(a, dtype, sa, draw.zero_point(dtype))
    zb = draw.zero_point(dtype)
    second = net.const(draw.codes(b, dtype), None, [sb], [zb]) if constant else net.input(b, dtype, sb, zb)
    order = [second, first] if constant and draw.chance(0.5) else [first, second]
    y = net.value(out, dtype, sy, draw.zero_point(dtype))
    net.op(op, order, [y], fusedActivationFunction=draw.activation())
    inputs = [[draw.codes(a, dtype)] + ([] if constant else [draw.codes(b, dtype)]) for _ in range(3)]
    return Case(name, net.pack([y]), inputs)


def binary(op):
    def cases(count):
        for i in range(count * 2):
            for dtype in RANGES:
                yield binary_case(Draw(f"{op}{dtype}{i}"), op, f"{dtype}_{i}", dtype)
        for i in range(count // 4):  # the two operands are the same tensor
            draw = Draw(f"{op}same{i}")

            def build(net, x):
                y = net.value([1, 16, 16, 1], "int8", draw.near(sx), draw.zero_point("int8"))
                net.op(op, [x, x], [y], fusedActivationFunction=0)
                return [y]

            sx = draw.scale(-6, 0)
            yield one_input(draw, f"same_tensor_{i}", [1, 16, 16, 1], "int8", sx, draw.zero_point("int8"), build,
                            codes=[every_code("int8")])
    return cases


def unary_case(draw, op, name, dtype, out_dtype, sx, zx, sy, zy, extra=(), **options):
    """All 256 codes; `extra` are builders of further constant inputs."""
    def build(net, x):
        y = net.value([1, 16, 16, 1], out_dtype, sy, zy)
        net.op(op, [x] + [make(net) for make in extra], [y], **options)
        return [y]

    return one_input(draw, name, [1, 16, 16, 1], dtype, sx, zx, build, codes=[every_code(dtype)])


def quantize(count):
    for i in range(count * 2):
        for dtype in RANGES:
            for out in RANGES:
                draw = Draw(f"quantize{dtype}{out}{i}")
                sx = draw.scale()
                sy = sx if i % 5 == 0 else draw.near(sx, 2)
                zx = draw.zero_point(dtype)
                zy = draw.zero_point(out)
                if i % 10 == 0 and dtype != out:
                    zx = draw.between(0, 255) - (128 if dtype == "int8" else 0)
                    zy = zx + (128 if dtype == "int8" else -128)
                yield unary_case(draw, "QUANTIZE", f"{dtype}_{out}_{i}", dtype, out, sx, zx, sy, zy)


def rectified(op):
    def cases(count):
        for i in range(count * 2):
            for dtype in RANGES:
                draw = Draw(f"{op}{dtype}{i}")
                sx = draw.scale(-8, 1)
                sy, zx = draw.near(sx, 2), draw.zero_point(dtype)
                zy = draw.zero_point(dtype)
                if i % 3 == 0:
                    sy, zy = sx, zx
                yield unary_case(draw, op, f"{dtype}_{i}", dtype, dtype, sx, zx, sy, zy)
    return cases


def leaky_relu(count):
    for i in range(count * 2):
        for dtype in RANGES:
            draw = Draw(f"leaky{dtype}{i}")
            sx = draw.scale(-8, 1)
            alpha = float(np.float32(draw.pick(0.01, 0.1, 0.2, 0.25, 0.5, 1.0, 1.7, 0.0, -0.3, -0.25, -0.5, draw.rng.random())))
            yield unary_case(draw, "LEAKY_RELU", f"{dtype}_{i}", dtype, dtype, sx, draw.zero_point(dtype),
                             draw.near(sx, 2), draw.zero_point(dtype), alpha=alpha)


def prelu(count):
    for i in range(count * 2):
        for dtype in RANGES:
            draw = Draw(f"prelu{dtype}{i}")
            sx, shape = draw.scale(-8, 1), draw.picture(side=(1, 6), channels=(1, 9))
            alpha_shape = draw.pick([1, 1, shape[3]], [shape[3]], [1, 1, 1], shape[1:], [1, 1, 1, shape[3]])
            sa, za = draw.scale(-10, -5), draw.zero_point(dtype)

            def build(net, x):
                alpha = net.const(draw.codes(alpha_shape, dtype), None, [sa], [za])
                y = net.value(shape, dtype, draw.near(sx, 2), draw.zero_point(dtype))
                net.op("PRELU", [x, alpha], [y])
                return [y]

            yield one_input(draw, f"{dtype}_{i}", shape, dtype, sx, draw.zero_point(dtype), build)


def tables(op):
    def cases(count):
        for i in range(count * 4):
            for dtype in RANGES:
                draw = Draw(f"{op}{dtype}{i}")
                sx = draw.scale(-8, 0)
                sy, zy = np.float32(1 / 256), RANGES[dtype][0]
                if op == "TANH":
                    sy, zy = np.float32(1 / 128), RANGES[dtype][0] + 128
                if op == "TANH" and i % 4 == 0:
                    sy, zy = draw.near(1 / 128, 1), draw.zero_point(dtype)
                yield unary_case(draw, op, f"{dtype}_{i}", dtype, dtype, sx, draw.zero_point(dtype), sy, zy)
    return cases


def hard_swish(count):
    for i in range(count * 3):
        for dtype in RANGES:
            draw = Draw(f"hard_swish{dtype}{i}")
            sx = draw.scale(-8, 1)
            sy = draw.near(sx * draw.pick(0.5, 1, 1), 1)
            yield unary_case(draw, "HARD_SWISH", f"{dtype}_{i}", dtype, dtype, sx, draw.zero_point(dtype), sy,
                             draw.zero_point(dtype))


FAMILIES = {"ADD": [binary("ADD")], "SUB": [binary("SUB")], "MUL": [binary("MUL")], "QUANTIZE": [quantize],
            "RELU": [rectified("RELU")], "RELU6": [rectified("RELU6")], "RELU_N1_TO_1": [rectified("RELU_N1_TO_1")],
            "LEAKY_RELU": [leaky_relu], "PRELU": [prelu], "LOGISTIC": [tables("LOGISTIC")], "TANH": [tables("TANH")],
            "HARD_SWISH": [hard_swish]}
