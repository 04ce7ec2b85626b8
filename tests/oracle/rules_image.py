"""Softmax in fixed point and the two ways of resizing, as LiteRT's reference kernels compute them."""
import numpy as np

from rules import I32, RANGES, divide_pot, f32, f64, finish, half_away, multiplier, srdhm, wrap32

ONE = I32[1]  # 1.0 in Q0.31
# exp(-2^k) in Q0.31 for k = -2 .. 4
EXP_STEPS = [(-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242)]


def saturating_left(x, bits):
    """x * 2^bits in 32 bits, saturating beyond +-(2^(31-bits)-1)."""
    limit = (1 << (31 - bits)) - 1
    return np.where(x > limit, I32[1], np.where(x < -limit, I32[0], wrap32(np.asarray(x, np.int64) << bits)))


def exp_small(a):
    """exp(a) in Q0.31 for a in [-1/4, 0): fourth-order Taylor series around -1/8."""
    c, third = 1895147668, 715827883  # exp(-1/8), 1/3
    x = a + (1 << 28)
    x2 = srdhm(x, x)
    x3, x4 = srdhm(x2, x), srdhm(x2, x2)
    tail = divide_pot(srdhm(divide_pot(x4, 2) + x3, third) + x2, 1)
    return c + srdhm(c, x + tail)


def exp_negative(d):
    """exp of a Q5.26 value <= 0, as Q0.31."""
    quarter = 1 << 24
    part = (d & (quarter - 1)) - quarter
    result, rest = exp_small(saturating_left(part, 5)), part - d
    for k, factor in EXP_STEPS:
        result = np.where(rest & (1 << (26 + k)), srdhm(result, factor), result)
    return np.where(d == 0, ONE, result)


def reciprocal_one_plus(a):
    """1 / (1 + a) in Q0.31 for a in [0, 1): three Newton steps on half the denominator, in Q2.29."""
    half = (a + ONE + 1) // 2
    x = 1515870810 + srdhm(half, -1010580540)  # 48/17, 32/17
    for _ in range(3):
        x = x + saturating_left(srdhm(x, (1 << 29) - srdhm(half, x)), 2)
    return saturating_left(x, 1)


def softmax(x, tx, ty, beta):
    real = min(f64(f32(beta)) * f64(tx.scale) * f64(1 << 26), f64(ONE))
    m, left = multiplier(real)
    diff_min = -int(np.floor(31.0 * (1 << 26) / float(1 << left)))
    v = x.astype(np.int64)
    diff = v - v.max(-1, keepdims=True)
    live = diff >= diff_min
    scaled = srdhm(wrap32(np.where(live, diff, 0) << left), m)
    e = exp_negative(scaled)
    total = np.where(live, divide_pot(e, 12), 0).sum(-1, keepdims=True)
    bits = np.array([int(t).bit_length() for t in total.reshape(-1)], np.int64).reshape(total.shape)
    headroom = 32 - bits
    r = reciprocal_one_plus((total << headroom) - (1 << 31))
    lo, hi = RANGES[ty.dtype]
    q = divide_pot(srdhm(r, e), 12 - headroom + 31 - 8) + lo
    return finish(np.where(live, q, lo), lo, hi, ty.dtype)


def axis_integer(size, out, align, half):
    """(lower tap, upper tap, weight of the upper tap in 1/1024) of every output position."""
    if align and out > 1:
        step = (1024 * (size - 1) + (out - 1) // 2) // (out - 1)
    else:
        step = (1024 * size + out // 2) // out
    i = np.arange(out, dtype=np.int64)
    position = i * step + (step // 2 - 512 if half else 0)
    truncate = lambda v: np.where(v >= 0, v // 1024, -((-v) // 1024))
    lower = np.maximum(truncate(position), 0)
    upper = np.minimum(truncate(position + 1023), size - 1)
    return lower, upper, position - 1024 * lower


def bilinear_s8(x, out_h, out_w, align, half):
    y0, y1, wy = axis_integer(x.shape[1], out_h, align, half)
    x0, x1, wx = axis_integer(x.shape[2], out_w, align, half)
    wy, wx = wy[None, :, None, None], wx[None, None, :, None]
    v = x.astype(np.int64)
    at = lambda rows, columns: v[:, rows][:, :, columns]
    total = (at(y0, x0) * (1024 - wy) * (1024 - wx) + at(y1, x0) * wy * (1024 - wx)
             + at(y0, x1) * (1024 - wy) * wx + at(y1, x1) * wy * wx)
    q = np.where(total > 0, (total + (1 << 19)) >> 20, -((-total + (1 << 19)) >> 20))
    return q.astype(np.int8)


def axis_float(size, out, align, half):
    step = f32(f32(size) / f32(out))
    if align and out > 1:
        step = f32(f32(size - 1) / f32(out - 1))
    i = np.arange(out).astype(f32)
    position = ((i + f32(0.5)) * step - f32(0.5)) if half else i * step
    position = position.astype(f32)
    lower = np.maximum(np.floor(position).astype(np.int64), 0)
    upper = np.minimum(np.ceil(position).astype(np.int64), size - 1)
    return lower, upper, (position - lower.astype(f32)).astype(f32)


def bilinear_u8(x, out_h, out_w, align, half):
    """Float32 throughout, in this order of operations; 0.5 is added last and the sum truncated."""
    y0, y1, dy = axis_float(x.shape[1], out_h, align, half)
    x0, x1, dx = axis_float(x.shape[2], out_w, align, half)
    dy, dx = dy[None, :, None, None], dx[None, None, :, None]
    v, one = x.astype(f32), f32(1)
    at = lambda rows, columns: v[:, rows][:, :, columns]
    total = (at(y0, x0) * (one - dy) * (one - dx) + at(y1, x0) * dy * (one - dx)
             + at(y0, x1) * (one - dy) * dx + at(y1, x1) * dy * dx)
    return np.trunc(total + f32(0.5)).astype(np.int64).astype(np.uint8)


def nearest_index(size, out, align, half):
    step = f32(f32(size - 1) / f32(out - 1)) if align and out > 1 else f32(f32(size) / f32(out))
    position = ((np.arange(out).astype(f32) + f32(0.5 if half else 0)) * step).astype(f32)
    index = (half_away(position) if align else np.floor(position)).astype(np.int64)
    return np.maximum(np.minimum(index, size - 1), 0)


def nearest(x, out_h, out_w, align, half):
    rows = nearest_index(x.shape[1], out_h, align, half)
    return x[:, rows][:, :, nearest_index(x.shape[2], out_w, align, half)]
