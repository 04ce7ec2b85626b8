"""Vectors of whole operators on small tensors."""
from fractions import Fraction

import exact
import picture
from exact import RANGES, clamp, f32, f32_bits, f64, half_away
from rescale_cases import mantissa, output_of, scale


def nested(rng, lo, hi, *shape):
    """Nested lists of random integers, the ends often."""
    if not shape:
        return rng.choice([lo, hi]) if rng.random() < 0.2 else rng.randrange(lo, hi + 1)
    return [nested(rng, lo, hi, *shape[1:]) for _ in range(shape[0])]


def flat(x):
    return [v for part in x for v in flat(part)] if isinstance(x, list) else [x]


def axis(rng, kernel, same):
    """(input, stride, dilation, pad before, output) of one axis."""
    dilation = rng.choice([1, 1, 2, 3])
    stride = 1 if dilation > 1 else rng.choice([1, 1, 2, 3])
    reach = (kernel - 1) * dilation + 1
    size = rng.randrange(1 if same else reach, reach + 4)
    if not same:
        return size, stride, dilation, 0, (size - reach) // stride + 1
    out = -(-size // stride)
    return size, stride, dilation, max((out - 1) * stride + reach - size, 0) // 2, out


def conv_case(rng, depthwise, i):
    kernel = [rng.choice([1, 2, 3]), rng.choice([1, 2, 3])]
    same = rng.random() < 0.6
    y, x = axis(rng, kernel[0], same), axis(rng, kernel[1], same)
    groups = rng.choice([1, 1, 2, 3]) if not depthwise else rng.randrange(1, 5)
    deep = 1 if depthwise else rng.randrange(1, 5)
    cin, cout = groups * deep, groups * rng.choice([1, 2, 3])
    kind = rng.choice(["s8", "u8"])
    weight = "u8" if kind == "u8" and rng.random() < 0.7 else rng.choice(["s8", "s4"])
    wlo, whi = RANGES.get(weight, (-8, 7))
    zx, zw = rng.choice([*RANGES[kind], rng.randrange(*RANGES[kind])]), rng.randrange(256) if weight == "u8" else 0
    picture_in, weights = nested(rng, *RANGES[kind], y[0], x[0], cin), nested(rng, wlo, whi, cout, *kernel, deep)
    terms = kernel[0] * kernel[1] * deep
    bias = [rng.randrange(-terms * 3000, terms * 3000 + 1) for _ in range(cout)]
    geometry = dict(stride=[y[1], x[1]], dilation=[y[2], x[2]], pad=[y[3], x[3]], out=[y[4], x[4]])
    acc = picture.conv(picture_in, weights, bias, geometry, zx, zw, depthwise)
    largest = max(1, max(abs(v) for v in flat(acc)))
    base = 30 + max(1, largest.bit_length() - rng.choice([5, 6, 7, 8]))
    per_channel = rng.random() < 0.7
    factors = [(mantissa(rng), clamp(base + rng.randrange(-1, 3), 16, 62)) for _ in range(cout if per_channel else 1)]
    factors = factors * (1 if per_channel else cout)
    if i % 7 == 0:
        factors[0] = (0, 31)
    zp, lo, hi = output_of(rng, kind)
    case = dict(depthwise=depthwise, type=kind, weight_type=weight, kernel=kernel, groups=groups, zx=zx, zw=zw, **geometry,
                input_shape=[1, y[0], x[0], cin], input=flat(picture_in), weights_shape=[cout, *kernel, deep],
                weights=flat(weights), bias=bias, m=[f[0] for f in factors], s=[f[1] for f in factors], zp=zp, lo=lo, hi=hi,
                acc=flat(acc))
    for rounding in ("once", "twice"):
        case[rounding] = [picture.finish(v, *factors[c % cout], rounding, zp, lo, hi) for c, v in enumerate(flat(acc))]
    return case


def convolutions(rng):
    """Weights OHWI; depthwise: groups = input channels, depth multiplier = output channels / groups."""
    for i in range(45):
        yield conv_case(rng, i % 3 == 2, i)


def pools(rng):
    for i in range(36):
        kind, kernel = rng.choice(["s8", "u8"]), [rng.randrange(1, 5), rng.randrange(1, 5)]
        same, stride = rng.random() < 0.6, [rng.randrange(1, 3), rng.randrange(1, 3)]
        size = [rng.randrange(1 if same else k, k + 4) for k in kernel]
        out = [-(-s // t) if same else (s - k) // t + 1 for s, t, k in zip(size, stride, kernel)]
        pad = [max((o - 1) * t + k - s, 0) // 2 if same else 0 for o, t, k, s in zip(out, stride, kernel, size)]
        x, (zp, lo, hi) = nested(rng, *RANGES[kind], *size, 2), output_of(rng, kind)
        windows = [w for row in picture.pool_windows(x, kernel, stride, pad, out) for spot in row for w in spot]
        zx = rng.randrange(*RANGES[kind])
        ratio = Fraction(1) if i % 3 == 0 else Fraction(rng.randrange(500, 2000), 1000)
        factors = [exact.multiplier(f64(ratio / n)) for n in range(1, kernel[0] * kernel[1] + 1)]
        average = lambda rule: [picture.pool_average(w, kind, rule, zx, zp, factors, lo, hi) for w in windows]
        yield dict(type=kind, kernel=kernel, stride=stride, pad=pad, out=out, input_shape=[1, *size, 2], input=flat(x), zx=zx, zp=zp,
                   lo=lo, hi=hi, m=[f[0] for f in factors], s=[f[1] for f in factors], average_rescale=average("rescale"),
                   average_raw=average("raw"), maximum=[clamp(max(w), lo, hi) for w in windows])


def means(rng):
    """`twice` is TFLite: m' = floor(m * 2^k / n), k = floor(log2 n) (less for tiny factors), s' = s + k."""
    for i in range(60):
        kind, n = rng.choice(["s8", "u8"]), rng.choice([1, 2, 3, 4, 7, 16, 25, 49, 64, rng.randrange(1, 90)])
        sx = scale(rng, -8, 0)
        sy = sx if i % 4 == 0 else f32(sx * Fraction(rng.randrange(300, 3000), 1000))
        zx, (zp, lo, hi) = rng.randrange(*RANGES[kind]), output_of(rng, kind)
        rows = nested(rng, *RANGES[kind], 6, n)
        m, s = exact.multiplier(f64(sx / sy))
        k = min(n.bit_length() - 1, 62 - s)
        twice, once = ((m << k) // n, s + k), exact.multiplier(f64(f64(sx / sy) / n))
        sums = [sum(r) - n * zx for r in rows]
        yield dict(type=kind, n=n, sx=f32_bits(sx), sy=f32_bits(sy), zx=zx, zp=zp, lo=lo, hi=hi, rows=rows, sums=sums,
                   m_once=once[0], s_once=once[1], once=[picture.finish(v, *once, "once", zp, lo, hi) for v in sums],
                   m_twice=twice[0], s_twice=twice[1], twice=[picture.finish(v, *twice, "twice", zp, lo, hi) for v in sums])


def softmaxes(rng):
    for i in range(48):
        kind, depth = rng.choice(["s8", "u8"]), rng.choice([1, 2, 3, 10, 12, 43, rng.randrange(1, 130)])
        sx, beta = scale(rng, -9, 0), rng.choice([1, 1, 1, Fraction(1, 2), 2, 10])
        if i % 8 == 0:
            sx = f32(Fraction(rng.randrange(1, 60)))  # the factor is capped at 2^31 - 1
        m, left, diff_min = exact.softmax_parameters(sx, beta)
        rows = nested(rng, *RANGES[kind], 3, depth)
        rows.append([rng.randrange(-10, 10) + sum(RANGES[kind]) // 2 for _ in range(depth)])
        rows.append([RANGES[kind][1]] * depth)
        yield dict(type=kind, depth=depth, sx=f32_bits(sx), beta=float(beta), multiplier=m, left_shift=left, diff_min=diff_min,
                   rows=rows, out=[exact.softmax_row(r, m, left, diff_min, RANGES[kind][0]) for r in rows])


MODES = ("asymmetric", "align_corners", "half_pixel")


def resize_cases(rng, kind, taps, blend, count):
    for i in range(count):
        mode, size = MODES[i % 3], [rng.randrange(1, 7), rng.randrange(1, 7)]
        out = [rng.randrange(1, 12), rng.randrange(1, 12)]
        if i % 4 == 0:
            out = [size[0] * rng.choice([1, 2, 4]), size[1] * rng.choice([1, 2, 3])]
        x = nested(rng, *RANGES[kind], *size, 2)
        y = picture.resize(x, out, mode, taps, blend)
        yield dict(type=kind, mode=mode, input_shape=[1, *size, 2], output_shape=[1, *out, 2], input=flat(x), out=flat(y))


def bilinear_s8(rng):
    return resize_cases(rng, "s8", picture.taps_10bit, picture.blend_10bit, 48)


def bilinear_u8(rng):
    """Pairs of sizes where float32 and exact arithmetic differ are among them."""
    yield from resize_cases(rng, "u8", picture.taps_f32, picture.blend_f32, 48)
    for mode, size, out in (("align_corners", [1, 2], [5, 121]), ("align_corners", [22, 1], [36, 1]),
                            ("half_pixel", [21, 1], [42, 3]), ("asymmetric", [35, 2], [12, 48]), ("align_corners", [33, 2], [65, 3])):
        x = nested(rng, 0, 255, *size, 1)
        y = picture.resize(x, out, mode, picture.taps_f32, picture.blend_f32)
        yield dict(type="u8", mode=mode, input_shape=[1, *size, 1], output_shape=[1, *out, 1], input=flat(x), out=flat(y))


def bilinear_rational(rng):
    return resize_cases(rng, rng.choice(["u8", "s8"]), picture.taps_rational, picture.blend_rational, 36)


def nearest(rng):
    """Indices of one axis, float32 steps.  The first rows are sizes where exact fractions give another index."""
    sizes = [(2, 82), (2, 94), (2, 41), (2, 47), (2, 83), (2, 95), (2, 42), (2, 48), (33, 513), (7, 224), (1, 5), (5, 1)]
    sizes += [(rng.randrange(1, 60), rng.randrange(1, 90)) for _ in range(30)]
    for size, out in sizes:
        for align in (False, True):
            for half in (False, True):
                yield dict(input=size, output=out, align_corners=align, half_pixel=half, index=picture.nearest_f32(size, out, align, half))


def quantized(rng, kind):
    zx, zy = (rng.choice([*RANGES[kind], rng.randrange(*RANGES[kind])]) for _ in range(2))
    sx = scale(rng, -8, 0)
    sy = sx if rng.random() < 0.2 else f32(sx * Fraction(rng.randrange(300, 3000), 1000))
    return sx, zx, sy, zy


def twice_table(kind, zx, zy, identity, below=None, lo=None, hi=None):
    """zy + rescale of x - zx with `identity`, or with `below` (m may be negative) where x < zx."""
    def one(q):
        m, s = identity if q >= zx or below is None else below
        return zy + (exact.rescale_twice(q - zx, abs(m), s) * (-1 if m < 0 else 1))
    low, high = RANGES[kind]
    return [clamp(one(q), low if lo is None else lo, high if hi is None else hi) for q in exact.codes(kind)]


def tables(rng):
    """256 outputs, from the lowest code up, as TFLite computes them."""
    for i in range(72):
        kind = ("s8", "u8")[i % 2]
        low, high = RANGES[kind]
        sx, zx, sy, zy = quantized(rng, kind)
        name = ("logistic", "tanh", "hard_swish", "leaky_relu", "relu", "relu6", "quantize", "concat", "relu_n1_to_1")[i % 9]
        more = {}
        if name == "logistic":
            sy, zy = f32(Fraction(1, 256)), low
            values = exact.float_table(kind, sx, zx, sy, zy, exact.logistic_f32)
            assert values == exact.exact_table(kind, sx, zx, sy, zy, exact.logistic)
        elif name == "tanh":
            sy, zy = f32(Fraction(1, 128)), low + 128
            values = exact.float_table(kind, sx, zx, sy, zy, exact.tanh_f32)
            assert values == exact.exact_table(kind, sx, zx, sy, zy, exact.tanh)
        elif name == "hard_swish":
            output, gate = exact.hard_swish_parameters(sx, sy)
            values = [exact.hard_swish(q, zx, zy, output, gate, kind) for q in exact.codes(kind)]
        elif name == "leaky_relu":
            alpha = rng.choice([f32(Fraction(1, 10)), f32(Fraction(1, 5)), Fraction(1, 4), Fraction(-1, 4), f32(Fraction(17, 10))])
            more["alpha"] = f32_bits(alpha)
            below = exact.multiplier(f32(f32(sx * abs(alpha)) / sy))
            below = (-below[0] if alpha < 0 else below[0], below[1])
            values = twice_table(kind, zx, zy, exact.multiplier(f32(sx / sy)), below)
        elif name.startswith("relu"):
            bound = lambda v: zy + half_away(f32(Fraction(v) / sy))
            lo = max(low, bound(-1 if "n1" in name else 0))
            hi = {"relu": high, "relu6": min(high, bound(6)), "relu_n1_to_1": min(high, bound(1))}[name]
            values = twice_table(kind, zx, zy, exact.multiplier(f32(sx / sy)), None, lo, hi)
        elif name == "quantize":
            values = twice_table(kind, zx, zy, exact.multiplier(f64(sx / sy)))
        else:
            kind, (low, high) = "u8", RANGES["u8"]
            zx, zy = zx % 256, zy % 256
            factor = f32(sx * f32(1 / sy))
            offset = f32(-zx * factor)
            values = [clamp(half_away(f32(f32(q * factor) + offset)) + zy, 0, 255) for q in range(256)]
            if (sx, zx) == (sy, zy):
                values = list(range(256))
        yield dict(function=name, type=kind, sx=f32_bits(sx), zx=zx, sy=f32_bits(sy), zy=zy, **more, out=values)


FILES = {"conv": convolutions, "pool": pools, "mean": means, "softmax": softmaxes, "resize_bilinear_s8": bilinear_s8,
         "resize_bilinear_u8": bilinear_u8, "resize_bilinear_rational": bilinear_rational, "resize_nearest": nearest,
         "tables": tables}
