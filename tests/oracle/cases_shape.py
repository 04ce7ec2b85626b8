"""Operators that move codes without computing, and CONCATENATION."""
import numpy as np

from draw import Case, Draw, RANGES, one_input
from network import Net


def moved(draw, name, shape, dtype, build_out):
    """All tensors share one scale; `build_out(net, x, value)` where value(shape) makes an output."""
    scale, zero = draw.scale(), draw.zero_point(dtype)
    build = lambda net, x: build_out(net, x, lambda s: net.value(s, dtype, scale, zero))
    return one_input(draw, name, shape, dtype, scale, zero, build, sets=1)


def family(op, make):
    def cases(count):
        for i in range(count):
            for dtype in RANGES:
                draw = Draw(f"{op}{dtype}{i}")
                yield make(draw, f"{dtype}_{i}", dtype)
    return cases


def shape_of(draw, low=1, high=4, side=6):
    return [draw.between(1, side) for _ in range(draw.between(low, high))]


def reshape(draw, name, dtype):
    shape = shape_of(draw)
    factors = [d for d in shape]
    draw.rng.shuffle(factors)
    out = draw.pick(factors, [int(np.prod(shape))], [1, *factors], [shape[0], int(np.prod(shape[1:]))])

    def build(net, x, value):
        y, stored = value(out), list(out)
        if draw.chance(0.5):
            stored[draw.between(0, len(stored) - 1)] = -1
        as_option = draw.chance(0.3)
        inputs = [x] if as_option else [x, net.indices(stored)]
        net.op("RESHAPE", inputs, [y], newShape=np.array(out, np.int32))
        return [y]
    return moved(draw, name, shape, dtype, build)


def transpose(draw, name, dtype):
    shape = shape_of(draw, 2, 5)
    order = [int(v) for v in draw.rng.permutation(len(shape))]

    def build(net, x, value):
        y = value([shape[d] for d in order])
        net.op("TRANSPOSE", [x, net.indices(order)], [y])
        return [y]
    return moved(draw, name, shape, dtype, build)


def pad(draw, name, dtype, op="PAD"):
    shape = shape_of(draw, 1, 4)
    amounts = [[draw.between(0, 3), draw.between(0, 3)] for _ in shape]

    def build(net, x, value):
        y = value([s + a + b for s, (a, b) in zip(shape, amounts)])
        inputs = [x, net.indices(amounts)]
        if op == "PADV2":
            t = net.tensors[y]
            inputs.append(net.const(draw.codes([1], dtype), None, t.scales, t.zero_points))
        net.op(op, inputs, [y])
        return [y]
    return moved(draw, name, shape, dtype, build)


def padv2(draw, name, dtype):
    return pad(draw, name, dtype, "PADV2")


def split(draw, name, dtype):
    shape, parts = shape_of(draw, 1, 4), draw.between(1, 4)
    axis = draw.between(0, len(shape) - 1)
    shape[axis] = parts * draw.between(1, 4)

    def build(net, x, value):
        part = list(shape)
        part[axis] //= parts
        outs = [value(part) for _ in range(parts)]
        stored = axis - len(shape) if draw.chance(0.3) else axis
        net.op("SPLIT", [net.const(np.array(stored, np.int32)), x], outs, numSplits=parts)
        return outs
    return moved(draw, name, shape, dtype, build)


def split_v(draw, name, dtype):
    shape, sizes = shape_of(draw, 1, 4), [draw.between(1, 4) for _ in range(draw.between(1, 4))]
    axis = draw.between(0, len(shape) - 1)
    shape[axis] = sum(sizes)

    def build(net, x, value):
        outs = [value(shape[:axis] + [s] + shape[axis + 1:]) for s in sizes]
        stored = list(sizes)
        if draw.chance(0.4):
            stored[draw.between(0, len(sizes) - 1)] = -1
        net.op("SPLIT_V", [x, net.indices(stored), net.const(np.array(axis, np.int32))], outs, numSplits=len(sizes))
        return outs
    return moved(draw, name, shape, dtype, build)


def slice_(draw, name, dtype):
    shape = shape_of(draw, 1, 5)
    begin = [draw.between(0, s - 1) for s in shape]
    size = [draw.between(1, s - b) for s, b in zip(shape, begin)]

    def build(net, x, value):
        stored = [-1 if draw.chance(0.3) and b + n == s else n for s, b, n in zip(shape, begin, size)]
        y = value(size)
        net.op("SLICE", [x, net.indices(begin), net.indices(stored)], [y])
        return [y]
    return moved(draw, name, shape, dtype, build)


def strided_slice(draw, name, dtype):
    shape = shape_of(draw, 1, 5, side=8)
    rank, masks, index = len(shape), [0, 0, 0], []
    begin, end, step = [], [], []
    for d, s in enumerate(shape):
        stride = draw.pick(1, 1, 1, 2, 3, -1, -2)
        a, b = sorted((draw.between(0, s - 1), draw.between(0, s - 1)))
        first, last = (a, b + 1) if stride > 0 else (b, a - 1)
        if stride < 0 and last < 0:
            last = -s - 1
        if draw.chance(0.25) and rank > 1 and d < rank - 1:  # one index, the axis disappears
            masks[2] |= 1 << d
            first, last, stride = a, a + 1, 1
            index.append(a)
        else:
            whole_begin, whole_end = draw.chance(0.25), draw.chance(0.25)
            masks[0] |= whole_begin << d
            masks[1] |= whole_end << d
            index.append(slice(None if whole_begin else first, None if whole_end else last, stride))
        if draw.chance(0.2) and first > 0:
            first -= s
        begin.append(first), end.append(last), step.append(stride)
    out = np.zeros(shape, np.int8)[tuple(index)].shape

    def build(net, x, value):
        y = value(list(out))
        net.op("STRIDED_SLICE", [x, net.indices(begin), net.indices(end), net.indices(step)], [y],
               beginMask=masks[0], endMask=masks[1], shrinkAxisMask=masks[2])
        return [y]
    return moved(draw, name, shape, dtype, build)


def pack(draw, name, dtype):
    shape, count = shape_of(draw, 1, 3), draw.between(1, 4)
    axis = draw.between(0, len(shape))
    scale, zero, net = draw.scale(), draw.zero_point(dtype), Net()
    ins = [net.input(shape, dtype, scale, zero) for _ in range(count)]
    y = net.value(shape[:axis] + [count] + shape[axis:], dtype, scale, zero)
    net.op("PACK", ins, [y], axis=axis - len(shape) - 1 if draw.chance(0.3) else axis, valuesCount=count)
    return Case(name, net.pack([y]), [[draw.codes(shape, dtype) for _ in ins]])


def unpack(draw, name, dtype):
    shape = shape_of(draw, 2, 4, side=4)
    axis = draw.between(0, len(shape) - 1)

    def build(net, x, value):
        outs = [value(shape[:axis] + shape[axis + 1:]) for _ in range(shape[axis])]
        net.op("UNPACK", [x], outs, num=shape[axis], axis=axis - len(shape) if draw.chance(0.3) else axis)
        return outs
    return moved(draw, name, shape, dtype, build)


def tile(draw, name, dtype):
    shape = shape_of(draw, 1, 4, side=5)
    times = [draw.between(1, 3) for _ in shape]

    def build(net, x, value):
        y = value([s * t for s, t in zip(shape, times)])
        net.op("TILE", [x, net.indices(times)], [y])
        return [y]
    return moved(draw, name, shape, dtype, build)


def concatenation(count):
    for i in range(count * 2):
        for dtype in RANGES:
            draw = Draw(f"concat{dtype}{i}")
            shape = shape_of(draw, 1, 4)
            axis, parts = draw.between(0, len(shape) - 1), draw.between(1, 4)
            scale, zero, net = draw.scale(-8, 0), draw.zero_point(dtype), Net()
            ins, inputs, total = [], [], 0
            for k in range(parts):
                part = list(shape)
                part[axis] = draw.between(1, 5)
                total += part[axis]
                same = dtype == "int8" or draw.chance(0.4)
                s, z = (scale, zero) if same else (draw.near(scale, 1.5), draw.zero_point(dtype))
                data = draw.codes(part, dtype)
                if k and draw.chance(0.2):
                    ins.append(net.const(data, None, [s], [z]))
                else:
                    ins.append(net.input(part, dtype, s, z))
                    inputs.append(data)
            shape[axis] = total
            y = net.value(shape, dtype, scale, zero)
            net.op("CONCATENATION", ins, [y], axis=axis - len(shape) if draw.chance(0.3) else axis)
            yield Case(f"{dtype}_{i}", net.pack([y]), [inputs])


MAKERS = {"RESHAPE": reshape, "TRANSPOSE": transpose, "PAD": pad, "PADV2": padv2, "SPLIT": split, "SPLIT_V": split_v,
          "SLICE": slice_, "STRIDED_SLICE": strided_slice, "PACK": pack, "UNPACK": unpack, "TILE": tile}
FAMILIES = {name: [family(name, make)] for name, make in MAKERS.items()}
FAMILIES["CONCATENATION"] = [concatenation]
