"""The arithmetic of Dyadic's rules on unbounded integers and fractions, straight from their definitions.

No numpy, no machine floats: a float32 or float64 value is the Fraction it stands for, and `rounded(x, bits)` is
IEEE rounding to nearest even.  Nothing here is fast.
"""
import struct
from decimal import Decimal, getcontext
from fractions import Fraction
from math import floor

getcontext().prec = 60
I32_MIN, I32_MAX = -(1 << 31), (1 << 31) - 1
RANGES = {"s8": (-128, 127), "u8": (0, 255), "s16": (-32768, 32767)}


def clamp(x, lo, hi):
    return min(max(x, lo), hi)


def half_up(x):
    """Nearest integer, ties toward +infinity."""
    return floor(Fraction(x) + Fraction(1, 2))


def half_away(x):
    """Nearest integer, ties away from zero."""
    x = Fraction(x)
    return half_up(x) if x >= 0 else -half_up(-x)


def half_even(x):
    q = floor(x)
    rest = Fraction(x) - q
    return q + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and q % 2 == 1))


def truncated(x):
    return floor(x) if x >= 0 else -floor(-x)


def wrapped(x):
    return (x - I32_MIN) % (1 << 32) + I32_MIN


def exponent(x):
    """e with 2^(e-1) <= |x| < 2^e, x != 0."""
    x = abs(Fraction(x))
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e + 1 if x >= Fraction(2) ** e else e


def rounded(x, bits):
    """IEEE rounding to a `bits`-bit mantissa, nearest even; exponents are unbounded."""
    x = Fraction(x)
    if x == 0:
        return x
    unit = Fraction(2) ** (exponent(x) - bits)
    return half_even(x / unit) * unit


def f32(x):
    return rounded(x, 24)


def f64(x):
    return rounded(x, 53)


def f32_bits(value):
    """Bit pattern of a Fraction that is a normal float32."""
    bits = struct.unpack("<I", struct.pack("<f", float(value)))[0]
    assert f32_value(bits) == value
    return bits


def f32_value(bits):
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


# ------------------------------------------------------------------ rescaling an accumulator
def rescale_once(acc, m, s):
    return half_up(Fraction(acc * m, 1 << s))


def rescale_once_away(acc, m, s):
    return half_away(Fraction(acc * m, 1 << s))


def doubling_high(a, b):
    """32-bit saturating rounding doubling high product."""
    return I32_MAX if a == b == I32_MIN else half_up(Fraction(a * b, 1 << 31))


def rescale_twice(acc, m, s):
    """Left shift by 31-s for s < 31 (the product must fit 32 bits), high product, division by 2^(s-31)."""
    acc <<= max(31 - s, 0)
    assert I32_MIN <= acc <= I32_MAX
    return half_away(Fraction(doubling_high(acc, m), 1 << max(s - 31, 0)))


RESCALE = {"once": rescale_once, "once_away": rescale_once_away, "twice": rescale_twice}


def multiplier(real):
    """Real factor -> (m, s): m in [2^30, 2^31) and real ~ m / 2^s, or m = 0 for s > 62."""
    real = Fraction(real)
    if real == 0:
        return 0, 31
    e = exponent(real)
    m = half_away(real / Fraction(2) ** (e - 31))
    if abs(m) == 1 << 31:
        m, e = m // 2, e + 1
    return (0, 31) if e < -31 else (m, 31 - e)


# ------------------------------------------------------------------ fixed-point exponential and reciprocal
def saturating_left(x, bits):
    return clamp(x << bits, I32_MIN, I32_MAX)


def exp_negative(x):
    """exp of a Q5.26 number x <= 0 as Q0.31: Taylor series on the quarter, then factors exp(-2^k)."""
    if x == 0:
        return I32_MAX
    quarter = 1 << 24
    part = x % quarter - quarter
    a = (part << 5) + (1 << 28)
    a2 = doubling_high(a, a)
    a3, a4 = doubling_high(a2, a), doubling_high(a2, a2)
    tail = half_away(Fraction(doubling_high(half_away(Fraction(a4, 4)) + a3, 715827883) + a2, 2))
    y = 1895147668 + doubling_high(1895147668, a + tail)
    steps = (part - x) // quarter
    for k, factor in enumerate((1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)):
        if steps >> k & 1:
            y = doubling_high(y, factor)
    return y


def reciprocal_one_plus(y):
    """1 / (1 + y), y and result Q0.31."""
    half = (y + I32_MAX + 1) // 2
    x = 1515870810 + doubling_high(half, -1010580540)
    for _ in range(3):
        x += saturating_left(doubling_high(x, (1 << 29) - doubling_high(half, x)), 2)
    return saturating_left(x, 1)


def softmax_parameters(scale, beta):
    """(multiplier, left shift, smallest difference) from f32 scale and beta."""
    m, s = multiplier(min(f64(f64(Fraction(beta) * scale) * (1 << 26)), Fraction(I32_MAX)))
    left = 31 - s
    return m, left, -floor(Fraction(31 * (1 << 26), 1 << left))


def softmax_row(row, m, left, diff_min, lowest):
    diffs = [v - max(row) for v in row]
    e = [exp_negative(doubling_high(d << left, m)) if d >= diff_min else None for d in diffs]
    total = sum(half_away(Fraction(v, 1 << 12)) for v in e if v is not None)
    headroom = 32 - total.bit_length()
    r = reciprocal_one_plus((total << headroom) - (1 << 31))
    right = 12 - headroom + 31 - 8
    out = [0 if v is None else half_away(Fraction(doubling_high(r, v), 1 << right)) for v in e]
    return [clamp(v + lowest, lowest, lowest + 255) for v in out]


# ------------------------------------------------------------------ functions of one code
def decimal(x):
    x = Fraction(x)
    return Decimal(x.numerator) / Decimal(x.denominator)


def exp_exact(x):
    return Fraction(decimal(x).exp())


def logistic(x):
    return 1 / (1 + exp_exact(-x))


def tanh(x):
    if abs(x) > 40:
        return Fraction(1 if x > 0 else -1)
    t = exp_exact(2 * abs(x))
    return (t - 1) / (t + 1) * (1 if x > 0 else -1 if x < 0 else 0)


def logistic_f32(x):
    """In float32 steps: exp, sum, quotient."""
    return f32(1 / f32(1 + f32(exp_exact(-x))))


def tanh_f32(x):
    return f32(tanh(x))


def codes(kind):
    lo, hi = RANGES[kind]
    return range(lo, hi + 1)


def float_table(kind, sx, zx, sy, zy, function):
    """TFLite's table: every step in float32."""
    inverse, out = f32(1 / sy), []
    for q in codes(kind):
        y = function(f32(sx * (q - zx)))
        out.append(clamp(truncated(f32(half_away(f32(y * inverse)) + zy)), *RANGES[kind]))
    return out


def exact_table(kind, sx, zx, sy, zy, function):
    return [clamp(half_away(function(sx * (q - zx)) / sy) + zy, *RANGES[kind]) for q in codes(kind)]


def high16(a, b):
    return 32767 if a == b == -32768 else half_up(Fraction(a * b, 1 << 15))


def narrow16(m):
    return 32767 if m >= I32_MAX - (1 << 15) else (m + (1 << 15)) >> 16


def hard_swish_parameters(sx, sy):
    """((m16, s) of the output, (m16, s) of the gate); s = 31 - exponent."""
    fine = f32(sx / 128)
    (m1, s1), (m2, s2) = multiplier(f32(fine / sy)), multiplier(f32(fine / f32(Fraction(3, 32768))))
    return (narrow16(m1), s1), (narrow16(m2), s2)


def hard_swish(x, zx, zy, output, gate, kind):
    fine = (x - zx) << 7
    (m1, s1), (m2, s2), sat = output, gate, lambda v: clamp(v, -32768, 32767)
    g = sat(fine << max(31 - s2 - 1, 0)) if s2 < 31 else fine
    g = high16(g, m2)
    g = sat(g << 1) if s2 < 31 else half_away(Fraction(g, 1 << (s2 - 31)))
    g = (g + 32768) >> 1
    product = truncated(Fraction(g * high16(fine, m1), 1 << 15))
    return clamp(half_away(Fraction(product, 1 << (s1 - 31))) + zy, *RANGES[kind])
