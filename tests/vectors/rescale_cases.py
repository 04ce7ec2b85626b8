"""Vectors of the scalar rules: rescaling, multipliers, additions, products, conversions."""
from fractions import Fraction

import exact
from exact import I32_MAX, I32_MIN, RANGES, clamp, f32, f32_bits, f32_value, f64, half_away

SHIFTS = range(16, 63)


def mantissa(rng):
    """2^30 .. 2^31-1: the ends, few bits, many bits."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice([1 << 30, (1 << 31) - 1, 3 << 29, (1 << 30) + 1])
    if kind == 1:
        return (1 << 30) | (1 << rng.randrange(16, 30))  # a narrow one: ties are common
    return rng.randrange(1 << 30, 1 << 31)


def accumulators(rng, m, s, limit, count):
    """Values around ties and zero, the ends of +-limit, random ones."""
    values = [0, 1, -1, limit, -limit, limit - 1, 1 - limit]
    for _ in range(count):
        tie = Fraction(2 * rng.randrange(-200, 200) + 1, 2) * Fraction(1 << s, m) if m else Fraction(0)
        near = exact.floor(tie)
        values += [near - 1, near, near + 1, near + 2]
        values.append(rng.randrange(-limit, limit + 1))
        values.append(rng.randrange(-(1 << rng.randrange(1, 31)), 1 << rng.randrange(1, 31)))
    return sorted({v for v in values if -limit <= v <= limit})


def output_of(rng, kind):
    lo, hi = RANGES[kind]
    zp = rng.choice([lo, hi, 0 if kind != "u8" else 128, rng.randrange(lo, hi + 1)])
    if rng.random() < 0.3:
        lo, hi = sorted((rng.randrange(lo, hi + 1), rng.randrange(lo, hi + 1)))
    return zp, lo, hi


def rescales(rng, rounding):
    for s in SHIFTS:
        for m in [0, mantissa(rng)] if s % 16 == 0 else [mantissa(rng)]:
            kind = rng.choice(["s8", "u8", "s16"])
            zp, lo, hi = output_of(rng, kind)
            limit = I32_MAX
            if rounding == "twice" and s < 31:
                limit = I32_MAX >> (31 - s)
            acc = accumulators(rng, m, s, limit, 5)
            if limit == I32_MAX:
                acc = [I32_MIN] + acc
            out = [clamp(zp + exact.RESCALE[rounding](a, m, s), lo, hi) for a in acc]
            yield dict(m=m, s=s, type=kind, zp=zp, lo=lo, hi=hi, acc=acc, out=out)
    if rounding == "twice":  # means carry the count in the multiplier, which may lie below 2^30
        for _ in range(12):
            m, s = rng.randrange((1 << 29) + 1, 1 << 30), rng.randrange(31, 63)
            acc = accumulators(rng, m, s, I32_MAX, 3)
            out = [clamp(exact.rescale_twice(a, m, s), -128, 127) for a in acc]
            yield dict(m=m, s=s, type="s8", zp=0, lo=-128, hi=127, acc=acc, out=out)


def scale(rng, low=-12, high=2):
    if rng.random() < 0.25:
        return f32(Fraction(2) ** rng.randrange(low, high + 1))
    return f32(Fraction(rng.randrange(1 << 23, 1 << 24), 1 << 24) * Fraction(2) ** rng.randrange(low, high + 1))


def rescale_f64(rng):
    """TFLite's fully connected layer: accumulator times a float64 factor, C round, as integers."""
    for _ in range(60):
        sx, sw = scale(rng, -9, 0), scale(rng, -12, -4)
        sy = scale(rng, -5, 2) if rng.random() < 0.8 else f32(sx * sw * 16)
        factor = f64(f64(sx * sw) / sy)
        e = exact.exponent(factor)
        m53 = int(factor / Fraction(2) ** (e - 53))
        acc = [a for a in accumulators(rng, int(factor * Fraction(2) ** (31 - e)), 31 - e, I32_MAX, 5)
               if abs(a * factor) < I32_MAX]
        out = [clamp(half_away(f64(a * factor)), -128, 127) for a in acc]
        assert out == [clamp(half_away(Fraction(a * m53) * Fraction(2) ** (e - 53)), -128, 127) for a in acc]
        yield dict(sx=f32_bits(sx), sw=f32_bits(sw), sy=f32_bits(sy), m53=m53, s53=53 - e, acc=acc, out=out)


def multipliers(rng):
    """(m, s) by the way the real factor is evaluated.  Scales are float32 bit patterns."""
    one = f32(Fraction(1))
    edges = [(one, one, one), (f32(Fraction(2) ** -31), one, one), (f32(Fraction(2) ** -32), one, one),
             (f32(Fraction(2) ** -33), one, one), (f32_value(0x3F7FFFFF), one, one),
             (f32_value(0x3F7FFFFF), f32_value(0x3F7FFFFF), f32_value(0x3F7FFFFF)),
             # products just below a power of two: the mantissa rounds up to 2^31 and is renormalised
             (f32_value(0x3F7FFFFF), f32_value(0x3F800001), one), (f32_value(0x33FFFFFF), f32_value(0x3F800001), one)]
    cases = edges + [(scale(rng), scale(rng, -14, 0), scale(rng, -6, 3)) for _ in range(150)]
    cases += [(scale(rng, -20, -12), scale(rng, -20, -12), scale(rng, 0, 6)) for _ in range(30)]
    for a, b, y in cases:
        real = {"f64_product": f64(f64(a * b) / y), "f32_product": f64(f32(a * b) / y), "f32_all": f32(f32(a * b) / y),
                "f64_quotient": f64(a / y), "f32_quotient": f32(a / y)}
        yield dict(a=f32_bits(a), b=f32_bits(b), y=f32_bits(y), **{k: list(exact.multiplier(v)) for k, v in real.items()})


def activation_ranges(rng):
    for i in range(120):
        kind = rng.choice(["s8", "u8"])
        sy, zp = scale(rng, -12, 4), rng.randrange(RANGES[kind][0], RANGES[kind][1] + 1)
        if i % 3 == 0:  # bounds that are halves: 6 / sy = k + 1/2
            sy = f32(Fraction(12, 2 * rng.randrange(1, 300) + 1))
        lo, hi = RANGES[kind]
        code = lambda v: zp + half_away(f32(Fraction(v) / sy))
        yield dict(type=kind, sy=f32_bits(sy), zp=zp, none=[lo, hi], relu=[max(lo, code(0)), hi],
                   relu6=[max(lo, code(0)), min(hi, code(6))], relu_n1_to_1=[max(lo, code(-1)), min(hi, code(1))])


def pairs(rng, kind, count):
    lo, hi = RANGES[kind]
    corners = [(x, y) for x in (lo, 0, hi) for y in (lo, 0, hi) if x >= lo and y >= lo]
    return corners + [(rng.randrange(lo, hi + 1), rng.randrange(lo, hi + 1)) for _ in range(count)]


def operands(rng, count=24):
    """Types, zero points, two columns of codes, and their values without the zero points."""
    kind, out = rng.choice(["s8", "u8"]), rng.choice(["s8", "u8", "s16"])
    lo, hi = RANGES[kind]
    za, zb = (rng.choice([lo, hi, rng.randrange(lo, hi + 1)]) for _ in range(2))
    columns = pairs(rng, kind, count)
    head = dict(type=kind, za=za, zb=zb, out_type=out, a=[p[0] for p in columns], b=[p[1] for p in columns])
    return head, [(a - za, b - zb) for a, b in columns]


def with_output(rng, head, values, **factors):
    zp, lo, hi = output_of(rng, head["out_type"])
    return dict(head, **factors, zp=zp, lo=lo, hi=hi, out=[clamp(zp + v, lo, hi) for v in values])


def add_joint(rng):
    for s in list(range(1, 63, 3)) + [24, 24, 24, 23, 25, 30]:
        head, values = operands(rng)
        top = min(1 << 24, 1 << max(1, s))
        m1, m2 = rng.choice([0, 1, (1 << 24) - 1, rng.randrange(1 << 24), rng.randrange(top)]), rng.randrange(1 << 24)
        sums = [exact.half_up(Fraction(a * m1 + b * m2, 1 << s)) for a, b in values]
        yield with_output(rng, head, sums, m1=m1, m2=m2, s=s)


def add_separate(rng):
    for _ in range(40):
        head, values = operands(rng)
        (m1, s1), (m2, s2) = ((mantissa(rng), rng.randrange(26, 42)) for _ in range(2))
        sums = [exact.rescale_once(a, m1, s1) + exact.rescale_once(b, m2, s2) for a, b in values]
        yield with_output(rng, head, sums, m1=m1, s1=s1, m2=m2, s2=s2)


def add_wide(rng):
    """Residual streams: any mix of 8 and 16 bits, joint (m1, m2, s) and separate (m1, s1, m2, s2)."""
    types = ["s16", "s16", "s8", "u8"]
    for i in range(60):
        kinds = [rng.choice(types), rng.choice(types), rng.choice(types)]
        kinds[i % 3] = "s16"
        points = [rng.choice([*RANGES[k], rng.randrange(*RANGES[k])]) for k in kinds[:2]]
        columns = [[rng.choice([*RANGES[k], rng.randrange(*RANGES[k])]) for _ in range(24)] for k in kinds[:2]]
        values = [(a - points[0], b - points[1]) for a, b in zip(*columns)]
        head = dict(type_a=kinds[0], type_b=kinds[1], za=points[0], zb=points[1], out_type=kinds[2], a=columns[0], b=columns[1],
                    subtract=i % 4 == 3)
        sign = -1 if head["subtract"] else 1
        if i % 2:
            s, (m1, m2) = rng.choice([1, 12, 13, 24, 26, 42, 43, 62]), (rng.randrange(1 << 24), (1 << 24) - 1)
            sums = [exact.half_up(Fraction(a * m1 + sign * b * m2, 1 << s)) for a, b in values]
            yield with_output(rng, head, sums, rule="joint", m1=m1, m2=m2, s=s)
        else:
            (m1, s1), (m2, s2) = ((mantissa(rng), rng.choice([16, 18, 19, 30, 33, 38, 47, 48, 62])) for _ in range(2))
            sums = [exact.rescale_once(a, m1, s1) + sign * exact.rescale_once(b, m2, s2) for a, b in values]
            yield with_output(rng, head, sums, rule="separate", m1=m1, s1=s1, m2=m2, s2=s2)


def requantize(rng):
    """Between 8 and 16 bits, one rounding."""
    for s in SHIFTS:
        kind, out = rng.choice([("s16", "s16"), ("s16", "s8"), ("s16", "u8"), ("s8", "s16"), ("u8", "s16")])
        zx, m = rng.choice([*RANGES[kind], rng.randrange(*RANGES[kind])]), mantissa(rng)
        codes = [*RANGES[kind]] + [rng.randrange(*RANGES[kind]) for _ in range(30)]
        values = [exact.rescale_once(c - zx, m, s) for c in codes]
        yield with_output(rng, {"type": kind, "zx": zx, "out_type": out, "in": codes}, values, m=m, s=s)


def add_tflite(rng):
    """Inputs << 20, each rescaled twice, summed (or subtracted), rescaled twice."""
    for i in range(60):
        head, values = operands(rng)
        if head["out_type"] == "s16":
            head["out_type"] = head["type"]
        sa = scale(rng, -8, 0)
        sb = sa if i % 6 == 0 else f32(sa * Fraction(rng.randrange(1, 1 << 12), 1 << rng.randrange(4, 14)))
        sy = f32(max(sa, sb) * Fraction(rng.randrange(200, 2000), 1000))
        twice, sign = 2 * max(sa, sb), -1 if i % 3 == 2 else 1
        (m1, s1), (m2, s2) = exact.multiplier(f64(sa / twice)), exact.multiplier(f64(sb / twice))
        m3, s3 = exact.multiplier(f64(twice / f64(sy * (1 << 20))))
        sums = [exact.rescale_twice(exact.rescale_twice(a << 20, m1, s1) + sign * exact.rescale_twice(b << 20, m2, s2), m3, s3)
                for a, b in values]
        yield with_output(rng, head, sums, subtract=sign < 0, sa=f32_bits(sa), sb=f32_bits(sb), sy=f32_bits(sy),
                          m=[m1, m2, m3], s=[s1, s2, s3])


def mul(rng):
    for i in range(60):
        head, values = operands(rng)
        m, s, rounding = mantissa(rng), rng.randrange(31, 50), rng.choice(["once", "twice"])
        if i % 5 == 0:
            s = rng.randrange(24, 31)
        if rounding == "twice" and s < 31:
            s = max(s, 31 - 14)  # products have 17 bits: the left shift stays within 32
        products = [exact.RESCALE[rounding](a * b, m, s) for a, b in values]
        yield with_output(rng, head, products, rounding=rounding, m=m, s=s)


def conversions(_rng):
    yield {"from": "u8", "to": "s8", "in": list(range(256)), "out": [v - 128 for v in range(256)]}
    yield {"from": "s8", "to": "u8", "in": list(range(-128, 128)), "out": [v + 128 for v in range(-128, 128)]}


def int4(rng):
    """Two values a byte, element 0 in the low nibble, row-major over the whole tensor; an odd end pads with 0."""
    for n in (1, 2, 3, 8, 15, 16, 33):
        values = [rng.randrange(-8, 8) for _ in range(n)]
        if n == 16:
            values = list(range(-8, 8))
        padded = values + [0] * (n % 2)
        packed = [(padded[i] & 15) | ((padded[i + 1] & 15) << 4) for i in range(0, len(padded), 2)]
        yield dict(values=values, bytes=packed)


FILES = {
    "requant_once": lambda rng: rescales(rng, "once"),
    "requant_once_away": lambda rng: rescales(rng, "once_away"),
    "requant_twice": lambda rng: rescales(rng, "twice"),
    "requant_f64": rescale_f64, "multipliers": multipliers, "activation_ranges": activation_ranges,
    "add_joint": add_joint, "add_separate": add_separate, "add_wide": add_wide, "requantize": requantize,
    "add_tflite": add_tflite, "mul": mul,
    "conversions": conversions, "int4": int4,
}
