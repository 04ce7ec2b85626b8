"""Pools, means, softmax, resizing, argmax."""
import numpy as np

from draw import Draw, RANGES, one_input


def pool(op):
    def cases(count):
        for i in range(count * 2):
            for dtype in RANGES:
                draw = Draw(f"{op}{dtype}{i}")
                same = draw.chance(0.6)
                kernel = (draw.between(1, 6), draw.between(1, 6))
                stride = (draw.between(1, 3), draw.between(1, 3))
                height, width = (max(1 if same else k, draw.between(1, 12)) for k in kernel)
                shape = [draw.pick(1, 2), height, width, draw.between(1, 9)]
                scale, zero = draw.scale(-7, 0), draw.zero_point(dtype)

                def build(net, x):
                    size = [-(-s // t) if same else (s - k) // t + 1 for s, k, t in zip((height, width), kernel, stride)]
                    y = net.value([shape[0], *size, shape[3]], dtype, scale, zero)
                    net.op(op, [x], [y], padding=0 if same else 1, strideH=stride[0], strideW=stride[1],
                           filterHeight=kernel[0], filterWidth=kernel[1], fusedActivationFunction=draw.activation())
                    return [y]

                yield one_input(draw, f"{dtype}_{i}", shape, dtype, scale, zero, build)
    return cases


def mean(count):
    for i in range(count * 3):
        for dtype in RANGES:
            draw = Draw(f"mean{dtype}{i}")
            rank = draw.pick(4, 4, 4, 3, 2)
            shape = [draw.between(1, 9) for _ in range(rank)]
            axes = draw.pick([1, 2], [1, 2]) if rank == 4 else [draw.between(0, rank - 1)]
            if draw.chance(0.4):
                axes = sorted(int(a) for a in draw.rng.choice(rank, draw.between(1, rank), replace=False))
            if draw.chance(0.2):
                axes = [a - rank for a in axes]
            keep = draw.chance(0.5)
            sx = draw.scale(-7, 0)
            sy = sx if draw.chance(0.3) else draw.near(sx, 1)

            def build(net, x):
                gone = {a % rank for a in axes}
                out = [1 if d in gone else s for d, s in enumerate(shape) if keep or d not in gone]
                y = net.value(out, dtype, sy, draw.zero_point(dtype))
                net.op("MEAN", [x, net.indices(axes)], [y], keepDims=keep)
                return [y]

            yield one_input(draw, f"{dtype}_{i}", shape, dtype, sx, draw.zero_point(dtype), build)


def softmax(count):
    for i in range(count * 3):
        for dtype in RANGES:
            draw = Draw(f"softmax{dtype}{i}")
            depth = draw.pick(1, 2, 3, 10, 43, 250, 1001, draw.between(1, 64))
            shape = draw.pick([1, depth], [3, depth], [1, 2, 2, depth], [2, 3, depth], [depth])
            beta = float(draw.pick(1.0, 1.0, 1.0, 0.5, 2.0, 0.1, 10.0))

            def build(net, x):
                y = net.value(shape, dtype, np.float32(1 / 256), RANGES[dtype][0])
                net.op("SOFTMAX", [x], [y], beta=beta)
                return [y]

            yield one_input(draw, f"{dtype}_{i}", shape, dtype, draw.scale(-9, 0.5), draw.zero_point(dtype), build)


def resize(op):
    def cases(count):
        for i in range(count * 2):
            for dtype in RANGES:
                for align, half in ((False, False), (True, False), (False, True), (True, True)):
                    draw = Draw(f"{op}{dtype}{align}{half}{i}")
                    shape = draw.picture(side=(1, 13), channels=(1, 4))
                    size = [draw.between(1, 30), draw.between(1, 30)]
                    if i % 4 == 0:
                        size = [shape[1] * draw.pick(1, 2, 3, 4), shape[2] * draw.pick(1, 2, 3, 4)]
                    scale, zero = draw.scale(), draw.zero_point(dtype)

                    def build(net, x):
                        y = net.value([shape[0], *size, shape[3]], dtype, scale, zero)
                        net.op(op, [x, net.indices(size)], [y], alignCorners=align, halfPixelCenters=half)
                        return [y]

                    flags = ("align" if align else "") + ("half" if half else "") or "plain"
                    yield one_input(draw, f"{dtype}_{flags}_{i}", shape, dtype, scale, zero, build, sets=2)
    return cases


def arg_max(count):
    for i in range(count * 2):
        for dtype in RANGES:
            draw = Draw(f"argmax{dtype}{i}")
            shape = [draw.between(1, 5) for _ in range(draw.between(0, 3))] + [draw.between(1, 40)]
            axis = len(shape) - 1 if draw.chance(0.6) else draw.between(0, len(shape) - 1)
            stored = axis - len(shape) if draw.chance(0.3) else axis
            wide = draw.chance(0.6)

            def build(net, x):
                y = net.value(shape[:axis] + shape[axis + 1:], "int64" if wide else "int32")
                net.op("ARG_MAX", [x, net.const(np.array(stored, np.int32))], [y], outputType=4 if wide else 2)
                return [y]

            yield one_input(draw, f"{dtype}_{i}", shape, dtype, draw.scale(), draw.zero_point(dtype), build)


FAMILIES = {"AVERAGE_POOL_2D": [pool("AVERAGE_POOL_2D")], "MAX_POOL_2D": [pool("MAX_POOL_2D")], "MEAN": [mean],
            "SOFTMAX": [softmax], "RESIZE_BILINEAR": [resize("RESIZE_BILINEAR")],
            "RESIZE_NEAREST_NEIGHBOR": [resize("RESIZE_NEAREST_NEIGHBOR")], "ARG_MAX": [arg_max]}
