"""The arithmetic of LiteRT's reference kernels as exact numpy: integers in 64 bits, float32 and float64 where the
reference uses them, in its order of operations.  `tflite-rules` in README.md states every rule in words."""
import numpy as np

I32 = (-(1 << 31), (1 << 31) - 1)
RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
f32, f64 = np.float32, np.float64


def half_away(x):
    """Nearest integer of a float array, ties away from zero, in its own precision (C round)."""
    x = np.asarray(x)
    down = np.trunc(x)
    return down + np.where(np.abs(x - down) >= 0.5, np.sign(x), 0).astype(x.dtype)


def wrap32(x):
    """Two's complement wrap-around to 32 bits, value kept in int64."""
    return ((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def multiplier(real):
    """Real factor -> (m, e): factor ~ m * 2^(e-31), m = 0 below 2^-32."""
    real = float(real)
    if real == 0:
        return 0, 0
    fraction, e = np.frexp(real)
    m = int(half_away(f64(fraction * 2.0**31)))
    e = int(e)
    if abs(m) == 1 << 31:
        m, e = m // 2, e + 1
    return (0, 0) if e < -31 else (m, e)


def srdhm(a, b):
    """Rounding doubling high multiply of 32-bit values: floor((a*b + 2^30) / 2^31), saturating min*min."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    q = (a * b + (1 << 30)) >> 31
    return np.where((a == I32[0]) & (b == I32[0]), I32[1], q)


def divide_pot(x, bits):
    """x / 2^bits, nearest, ties away from zero."""
    x, bits = np.asarray(x, np.int64), np.asarray(bits, np.int64)
    half = (np.int64(1) << bits) >> 1
    return np.where(x >= 0, (x + half) >> bits, -((-x + half) >> bits))


def scale_twice(x, m, e):
    """Two roundings: shift left if e > 0, multiply high, divide by 2^-e.  m, e may be arrays (per channel)."""
    e = np.asarray(e, np.int64)
    return divide_pot(srdhm(wrap32(np.asarray(x, np.int64) << np.maximum(e, 0)), m), np.maximum(-e, 0))


def activation_range(activation, out):
    lo, hi = RANGES[out.dtype]
    code = lambda v: out.zero_point + int(half_away(f32(f32(v) / out.scale)))
    if activation in ("RELU", "RELU6"):
        lo = max(lo, code(0))
    if activation == "RELU6":
        hi = min(hi, code(6))
    if activation == "RELU_N1_TO_1":
        lo, hi = max(lo, code(-1)), min(hi, code(1))
    return lo, hi


def finish(x, lo, hi, dtype):
    return np.minimum(np.maximum(x, lo), hi).astype(dtype)


# ------------------------------------------------------------------ sums of products
def same_padding(size, kernel, stride, dilation):
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return out, total // 2, total - total // 2


def windows(x, kernel, stride, dilation, same, fill):
    """Yields (ky, kx, slice) for every filter tap; `fill` stands where the window leaves the picture."""
    geometry = []
    for axis in (0, 1):
        size, k, s, d = x.shape[1 + axis], kernel[axis], stride[axis], dilation[axis]
        if same:
            geometry.append(same_padding(size, k, s, d))
        else:
            geometry.append(((size - (k - 1) * d - 1) // s + 1, 0, 0))
    (oh, top, bottom), (ow, left, right) = geometry
    x = np.pad(x, ((0, 0), (top, bottom + kernel[0] * dilation[0]), (left, right + kernel[1] * dilation[1]), (0, 0)),
               constant_values=fill)
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            y0, x0 = ky * dilation[0], kx * dilation[1]
            yield ky, kx, x[:, y0:y0 + (oh - 1) * stride[0] + 1:stride[0], x0:x0 + (ow - 1) * stride[1] + 1:stride[1]]


def conv_acc(x, w, options, x_zero, w_zero):
    """OHWI weights; groups when the weights have fewer input channels than x."""
    o = options
    x, w = x.astype(f64) - x_zero, w.astype(f64) - w_zero
    groups = x.shape[3] // w.shape[3]
    per_group, acc = w.shape[0] // groups, 0
    for ky, kx, taps in windows(x, w.shape[1:3], (o.strideH, o.strideW), (o.dilationHFactor or 1, o.dilationWFactor or 1),
                                o.padding == 0, 0):
        parts = []
        for g in range(groups):
            channels = slice(g * w.shape[3], (g + 1) * w.shape[3])
            parts.append(taps[..., channels] @ w[g * per_group:(g + 1) * per_group, ky, kx].T)
        acc = acc + np.concatenate(parts, -1)
    return np.rint(acc).astype(np.int64)  # exact: far below 2^53


def depthwise_acc(x, w, options, x_zero, w_zero):
    o = options
    x, w = x.astype(np.int64) - x_zero, w.astype(np.int64) - w_zero
    times, acc = w.shape[3] // x.shape[3], 0
    for ky, kx, taps in windows(x, w.shape[1:3], (o.strideH, o.strideW), (o.dilationHFactor or 1, o.dilationWFactor or 1),
                                o.padding == 0, 0):
        acc = acc + np.repeat(taps, times, 3) * w[0, ky, kx]
    return acc


def conv_multipliers(x, w, y, channels):
    """s8: one double product per channel.  u8: the product of input and weight scale is rounded to float32."""
    if x.dtype == "uint8":
        pairs = [multiplier(f64(f32(x.scale * w.scale)) / f64(y.scale))] * channels
    else:
        scales = list(w.scales) * (channels if len(w.scales) == 1 else 1)
        pairs = [multiplier(f64(x.scale) * f64(s) / f64(y.scale)) for s in scales]
    return np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)


def conv(op, tensors, x, w, bias, depthwise):
    tx, tw, ty = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    acc = (depthwise_acc if depthwise else conv_acc)(x, w, op.options, tx.zero_point, tw.zero_point)
    if bias is not None:
        acc = acc + bias
    m, e = conv_multipliers(tx, tw, ty, acc.shape[-1])
    return finish(scale_twice(wrap32(acc), m, e) + ty.zero_point, *activation_range(op.activation, ty), ty.dtype)


def fully_connected(op, tensors, x, w, bias):
    """No integer multiplier: the accumulator times a double factor, C round (ties away from zero)."""
    tx, tw, ty = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    acc = (x.reshape(-1, w.shape[1]).astype(f64) - tx.zero_point) @ (w.astype(f64) - tw.zero_point).T
    acc = np.rint(acc).astype(np.int64) + (0 if bias is None else bias)
    factor = f64(tx.scale) * np.array(tw.scales, f64) / f64(ty.scale)
    q = half_away(wrap32(acc).astype(f64) * factor)
    q = np.clip(q, *I32).astype(np.int64) + ty.zero_point
    return finish(q, *activation_range(op.activation, ty), ty.dtype).reshape(ty.shape)


# ------------------------------------------------------------------ two operands
def add_sub(op, tensors, a, b, sign):
    ta, tb, ty = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    twice = 2 * f64(max(ta.scale, tb.scale))
    (m1, e1), (m2, e2) = multiplier(f64(ta.scale) / twice), multiplier(f64(tb.scale) / twice)
    m3, e3 = multiplier(twice / (f64(1 << 20) * f64(ty.scale)))
    left = scale_twice((a.astype(np.int64) - ta.zero_point) << 20, m1, e1)
    right = scale_twice((b.astype(np.int64) - tb.zero_point) << 20, m2, e2)
    q = scale_twice(wrap32(left + sign * right), m3, e3) + ty.zero_point
    return finish(q, *activation_range(op.activation, ty), ty.dtype)


def mul(op, tensors, a, b):
    """The whole real multiplier is a float32 expression."""
    ta, tb, ty = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    m, e = multiplier(f32(f32(ta.scale * tb.scale) / ty.scale))
    product = (a.astype(np.int64) - ta.zero_point) * (b.astype(np.int64) - tb.zero_point)
    return finish(scale_twice(product, m, e) + ty.zero_point, *activation_range(op.activation, ty), ty.dtype)


# ------------------------------------------------------------------ averages
def mean(x, axes, tx, ty, keep):
    axes = tuple(sorted({a % x.ndim for a in axes}))
    n = int(np.prod([x.shape[a] for a in axes]))
    m, e = multiplier(f64(tx.scale) / f64(ty.scale))
    shift = min(n.bit_length() - 1, 32, 31 + e)
    m, e = (m << shift) // n, e - shift
    acc = wrap32(x.astype(np.int64).sum(axis=axes, keepdims=bool(keep)) - tx.zero_point * n)
    return finish(scale_twice(acc, m, e) + ty.zero_point, *RANGES[ty.dtype], ty.dtype)


def pool(op, tensors, x, average):
    """Raw codes.  Average: sum / count of the taps inside the picture, ties away from zero (u8: never negative)."""
    ty, o = tensors[op.outputs[0]], op.options
    lo, hi = activation_range(op.activation, ty)
    geometry = ((o.filterHeight, o.filterWidth), (o.strideH, o.strideW), (1, 1), o.padding == 0)
    if not average:
        best = RANGES[ty.dtype][0]
        for _, _, taps in windows(x.astype(np.int64), *geometry, RANGES[ty.dtype][0]):
            best = np.maximum(best, taps)
        return finish(best, lo, hi, ty.dtype)
    total = sum(t for _, _, t in windows(x.astype(np.int64), *geometry, 0))
    n = sum(t for _, _, t in windows(np.ones_like(x, np.int64), *geometry, 0))
    q = np.where(total > 0, (total + n // 2) // n, -((-total + n // 2) // n))
    return finish(q, lo, hi, ty.dtype)


# ------------------------------------------------------------------ one operand, element by element
def quantize(x, tx, ty):
    m, e = multiplier(f64(tx.scale) / f64(ty.scale))
    q = scale_twice(x.astype(np.int64) - tx.zero_point, m, e) + ty.zero_point
    return finish(q, *RANGES[ty.dtype], ty.dtype)


def relu(x, tx, ty, low, high):
    """Stand-alone RELU kinds: float32 quotient of the scales, two roundings, clamp in output codes."""
    m, e = multiplier(f32(tx.scale / ty.scale))
    lo, hi = RANGES[ty.dtype]
    lo = max(lo, ty.zero_point + int(half_away(f32(f32(low) / ty.scale))))
    if high is not None:
        hi = min(hi, ty.zero_point + int(half_away(f32(f32(high) / ty.scale))))
    return finish(scale_twice(x.astype(np.int64) - tx.zero_point, m, e) + ty.zero_point, lo, hi, ty.dtype)


def leaky_relu(x, tx, ty, alpha):
    identity = multiplier(f32(tx.scale / ty.scale))
    ma, ea = multiplier(f32(f32(tx.scale * f32(alpha)) / ty.scale))
    v = x.astype(np.int64) - tx.zero_point
    sign = -1 if ma < 0 else 1  # a negative slope: the magnitude is scaled, the result negated
    q = np.where(v >= 0, scale_twice(v, *identity), sign * scale_twice(v, sign * ma, ea))
    return finish(q + ty.zero_point, *RANGES[ty.dtype], ty.dtype)


def prelu(x, alpha, tx, ta, ty):
    m1, e1 = multiplier(f32(tx.scale / ty.scale))
    m2, e2 = multiplier(f32(f32(tx.scale * ta.scale) / ty.scale))
    v, a = np.broadcast_arrays(x.astype(np.int64) - tx.zero_point, alpha.astype(np.int64) - ta.zero_point)
    q = np.where(v >= 0, scale_twice(v, m1, e1), scale_twice(v * a, m2, e2))
    return finish(q + ty.zero_point, *RANGES[ty.dtype], ty.dtype)


def float_table(tx, ty, function):
    """256 entries by code; `function` maps a float32 array to float32."""
    lo, hi = RANGES[tx.dtype]
    codes = np.arange(lo, hi + 1)
    real = function((tx.scale * (codes - tx.zero_point).astype(f32)).astype(f32)).astype(f32)
    rescaled = half_away((real * f32(f32(1) / ty.scale)).astype(f32)).astype(f32)
    q = (rescaled + f32(ty.zero_point)).astype(f32).astype(np.int64)
    return finish(q, *RANGES[ty.dtype], ty.dtype)


def lookup(x, table, dtype):
    return table[x.astype(np.int64) - RANGES[dtype][0]]


def logistic32(x):
    """1 / (1 + exp(-x)), every step rounded to float32, the exponential correctly rounded."""
    with np.errstate(over="ignore"):  # exp(-x) beyond float32 is infinite, 1/inf is 0
        return (f32(1) / (f32(1) + np.exp(-x.astype(f64)).astype(f32))).astype(f32)


def tanh32(x):
    return np.tanh(x.astype(f64)).astype(f32)


def sat16(x):
    return np.clip(x, -32768, 32767)


def mul_high16(a, b):
    """16-bit rounding doubling high multiply: floor((a*b + 2^14) / 2^15), saturating min*min."""
    return np.where((a == -32768) & (b == -32768), 32767, (a * b + (1 << 14)) >> 15)


def narrow16(m):
    return 32767 if m >= I32[1] - (1 << 15) else (m + (1 << 15)) >> 16


def hard_swish(x, tx, ty):
    fine = f32(f32(1 / 128) * tx.scale)
    m_out, e_out = multiplier(f32(fine / ty.scale))
    m_relu, e_relu = multiplier(f32(fine / f32(f32(3) / f32(32768))))
    v = x.astype(np.int64) - tx.zero_point
    fine_v = wrap16(v << 7)
    scaled = mul_high16(fine_v, narrow16(m_out))
    gate = fine_v
    if e_relu > 0:
        gate = sat16(gate << (e_relu - 1))
    gate = mul_high16(gate, narrow16(m_relu))
    if e_relu > 0:
        gate = sat16(gate << 1)
    if e_relu < 0:
        gate = divide_pot(gate, -e_relu)
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled  # truncating, both fit 16 bits
    high = np.where(product >= 0, product >> 15, -((-product) >> 15))
    return finish(divide_pot(high, -e_out) + ty.zero_point, *RANGES[ty.dtype], ty.dtype)


def wrap16(x):
    return ((x + (1 << 15)) & 0xFFFF) - (1 << 15)


def concatenate_u8(x, tx, ty):
    if tx.zero_point == ty.zero_point and tx.scale == ty.scale:
        return x
    scale = f32(tx.scale * f32(f32(1) / ty.scale))
    bias = f32(f32(-tx.zero_point) * scale)
    q = half_away((x.astype(f32) * scale + bias).astype(f32)).astype(np.int64) + ty.zero_point
    return finish(q, 0, 255, "uint8")
