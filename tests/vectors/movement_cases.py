"""Vectors of the rules that change no value: copies, padding, tiling, concatenation, nearest neighbours by exact
coordinates, argmax."""
from fractions import Fraction
from itertools import product

from exact import RANGES, clamp, floor, half_up
from layer_cases import MODES, flat, nested

TYPES = ("s8", "u8", "s16", "s4", "u4")
VALUES = RANGES | {"s4": (-8, 7), "u4": (0, 15)}


def shape_of(rng, rank, top=4):
    return [rng.randrange(1, top + 1) for _ in range(rank)]


def strides_of(shape):
    strides = [1] * len(shape)
    for i in reversed(range(len(shape) - 1)):
        strides[i] = strides[i + 1] * shape[i + 1]
    return strides


def element(x, at):
    for i in at:
        x = x[i]
    return x


def everywhere(shape):
    return product(*(range(n) for n in shape))


def transposed(rng, kind, x, shape):
    order = rng.sample(range(len(shape)), len(shape))
    out_shape = [shape[a] for a in order]
    out = [element(x, [at[order.index(a)] for a in range(len(shape))]) for at in everywhere(out_shape)]
    strides = strides_of(shape)
    return dict(operation="copy", start=0, strides=[strides[a] for a in order], out_shape=out_shape, out=out)


def sliced(rng, kind, x, shape):
    """begin, begin + step, ... on each axis; steps may be negative."""
    steps = [rng.choice([1, 1, 2, -1, -2]) for _ in shape]
    begins = [n - 1 if s < 0 else rng.randrange(n) for n, s in zip(shape, steps)]
    out_shape = [(b // -s if s < 0 else (n - 1 - b) // s) + 1 for n, b, s in zip(shape, begins, steps)]
    out = [element(x, [b + i * s for b, i, s in zip(begins, at, steps)]) for at in everywhere(out_shape)]
    strides = strides_of(shape)
    return dict(operation="copy", start=sum(b * t for b, t in zip(begins, strides)),
                strides=[s * t for s, t in zip(steps, strides)], out_shape=out_shape, out=out)


def padded(rng, kind, x, shape):
    before, after = ([rng.randrange(3) for _ in shape] for _ in range(2))
    value, out_shape = rng.randrange(*VALUES[kind]), [a + n + b for a, n, b in zip(before, shape, after)]
    inside = lambda at: all(0 <= i - b < n for i, b, n in zip(at, before, shape))
    out = [element(x, [i - b for i, b in zip(at, before)]) if inside(at) else value for at in everywhere(out_shape)]
    return dict(operation="pad", before=before, value=value, out_shape=out_shape, out=out)


def tiled(rng, kind, x, shape):
    out_shape = [n * rng.randrange(1, 4) for n in shape]
    out = [element(x, [i % n for i, n in zip(at, shape)]) for at in everywhere(out_shape)]
    return dict(operation="tile", out_shape=out_shape, out=out)


def movements(rng):
    for i in range(60):
        make, kind = (transposed, sliced, padded, tiled)[i % 4], TYPES[i % 5]
        shape = shape_of(rng, rng.randrange(1, 5))
        x = nested(rng, *VALUES[kind], *shape)
        more = make(rng, kind, x, shape)
        yield dict(operation=more.pop("operation"), type=kind, shape=shape, **more, **{"in": flat(x)})


def concatenations(rng):
    """Branches of `outer` runs each; a branch may have a table, indexed by the code less the lowest of the type."""
    for i in range(16):
        kind, outer = ("s8", "u8")[i % 2], rng.randrange(1, 4)
        lo, hi = RANGES[kind]
        branches, rows = [], [[] for _ in range(outer)]
        for _ in range(rng.randrange(1, 4)):
            run = rng.randrange(1, 7)
            x = nested(rng, lo, hi, outer, run)
            table = [rng.randrange(lo, hi + 1) for _ in range(256)] if rng.random() < 0.3 else None
            branches.append(dict(run=run, table=table, **{"in": flat(x)}))
            for row, part in zip(rows, x):
                row += [v if table is None else table[v - lo] for v in part]
        yield dict(type=kind, outer=outer, branches=branches, out=flat(rows))


def argmaxes(rng):
    for i in range(24):
        kind, (outer, depth, inner) = TYPES[i % 5], shape_of(rng, 3, 9)
        lo, hi = VALUES[kind]
        if i % 2:
            lo, hi = hi - 2, hi  # many equal values
        x = nested(rng, lo, hi, outer, depth, inner)
        column = lambda o, k: [x[o][d][k] for d in range(depth)]
        out = [column(o, k).index(max(column(o, k))) for o in range(outer) for k in range(inner)]
        yield dict(type=kind, outer=outer, depth=depth, inner=inner, **{"in": flat(x)}, out=out)


def nearest_exact(i, size, out, mode):
    if mode == "align_corners":
        return half_up(Fraction(i * (size - 1), out - 1)) if out > 1 else 0
    offset = Fraction(1, 2) if mode == "half_pixel" else 0
    return clamp(floor((i + offset) * Fraction(size, out)), 0, size - 1)


def nearest_rational(rng):
    """Indices of one axis. The first sizes are those where float32 steps give another index."""
    sizes = [(2, 82), (2, 94), (2, 41), (2, 83), (7, 224), (1, 5), (5, 1)]
    sizes += [(rng.randrange(1, 60), rng.randrange(1, 90)) for _ in range(20)]
    for size, out in sizes:
        for mode in MODES:
            yield dict(input=size, output=out, mode=mode, index=[nearest_exact(i, size, out, mode) for i in range(out)])


FILES = {"movement": movements, "concat": concatenations, "argmax": argmaxes, "resize_nearest_rational": nearest_rational}
