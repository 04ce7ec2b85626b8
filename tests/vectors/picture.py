"""Windows, sums of products and resizing on nested lists (NHWC, one picture), with exact arithmetic."""
from fractions import Fraction

from exact import RANGES, RESCALE, clamp, f32, floor, half_away, half_up, truncated


def conv(x, w, bias, geometry, zx, zw, depthwise=False):
    """Accumulators [oy][ox][co].  x[y][x][c]; w[co][ky][kx][ci of the group]; geometry holds stride, dilation, pad and
    output height and width.  Depthwise: the groups are the input channels."""
    groups = len(x[0][0]) if depthwise else len(x[0][0]) // len(w[0][0][0])
    per_group, out = len(w) // groups, []
    for oy in range(geometry["out"][0]):
        out.append([])
        for ox in range(geometry["out"][1]):
            sums = []
            for co, filters in enumerate(w):
                first = co // per_group * len(filters[0][0])
                acc = bias[co]
                for ky, line in enumerate(filters):
                    for kx, taps in enumerate(line):
                        iy = oy * geometry["stride"][0] + ky * geometry["dilation"][0] - geometry["pad"][0]
                        ix = ox * geometry["stride"][1] + kx * geometry["dilation"][1] - geometry["pad"][1]
                        if 0 <= iy < len(x) and 0 <= ix < len(x[0]):
                            acc += sum((x[iy][ix][first + i] - zx) * (t - zw) for i, t in enumerate(taps))
                sums.append(acc)
            out[-1].append(sums)
    return out


def finish(acc, m, s, rounding, zp, lo, hi):
    return clamp(zp + RESCALE[rounding](acc, m, s), lo, hi)


def pool_windows(x, kernel, stride, pad, out):
    """Lists of the codes that each window covers inside the picture, [oy][ox][c]."""
    def at(oy, ox, c):
        spots = [(oy * stride[0] + ky - pad[0], ox * stride[1] + kx - pad[1]) for ky in range(kernel[0]) for kx in range(kernel[1])]
        return [x[iy][ix][c] for iy, ix in spots if 0 <= iy < len(x) and 0 <= ix < len(x[0])]
    return [[[at(oy, ox, c) for c in range(len(x[0][0]))] for ox in range(out[1])] for oy in range(out[0])]


# ------------------------------------------------------------------ resizing
def taps_10bit(i, size, out, mode):
    """(lower, upper, weight of upper in 1/1024): TFLite's int8 kernel, integer division truncates."""
    if mode == "align_corners" and out > 1:
        step = (1024 * (size - 1) + (out - 1) // 2) // (out - 1)
    else:
        step = (1024 * size + out // 2) // out
    position = i * step + (step // 2 - 512 if mode == "half_pixel" else 0)
    lower = max(truncated(Fraction(position, 1024)), 0)
    upper = min(truncated(Fraction(position + 1023, 1024)), size - 1)
    return lower, upper, position - 1024 * lower


def position_f32(i, size, out, mode):
    step = f32(Fraction(size - 1, out - 1)) if mode == "align_corners" and out > 1 else f32(Fraction(size, out))
    if mode == "half_pixel":
        return f32(f32((i + Fraction(1, 2)) * step) - Fraction(1, 2))
    return f32(i * step)


def taps_f32(i, size, out, mode):
    """(lower, upper, float32 weight of upper) as TFLite's uint8 kernel."""
    position = position_f32(i, size, out, mode)
    lower = max(floor(position), 0)
    return lower, min(-floor(-position), size - 1), f32(position - lower)


def taps_rational(i, size, out, mode):
    if mode == "align_corners":
        position = Fraction(i * (size - 1), out - 1) if out > 1 else Fraction(0)
    else:
        position = Fraction(i * size, out)
        if mode == "half_pixel":
            position = max(Fraction((2 * i + 1) * size - out, 2 * out), Fraction(0))
    lower = min(floor(position), size - 1)
    return lower, min(lower + 1, size - 1), position - lower


def resize(x, out, mode, taps, blend):
    rows = [taps(i, len(x), out[0], mode) for i in range(out[0])]
    columns = [taps(i, len(x[0]), out[1], mode) for i in range(out[1])]
    channel = lambda y, c, k: blend(x[y[0]][c[0]][k], x[y[1]][c[0]][k], x[y[0]][c[1]][k], x[y[1]][c[1]][k], y[2], c[2])
    return [[[channel(y, c, k) for k in range(len(x[0][0]))] for c in columns] for y in rows]


def blend_10bit(a, b, c, d, wy, wx):
    total = a * (1024 - wy) * (1024 - wx) + b * wy * (1024 - wx) + c * (1024 - wy) * wx + d * wy * wx
    return half_away(Fraction(total, 1 << 20))


def blend_f32(a, b, c, d, dy, dx):
    """Float32 in this order; half is added last and the sum truncated."""
    one_y, one_x = f32(1 - dy), f32(1 - dx)
    total = f32(f32(f32(a * one_y) * one_x) + f32(f32(b * dy) * one_x))
    total = f32(f32(total + f32(f32(c * one_y) * dx)) + f32(f32(d * dy) * dx))
    return truncated(f32(total + Fraction(1, 2)))


def blend_rational(a, b, c, d, dy, dx):
    return half_up(a * (1 - dy) * (1 - dx) + b * dy * (1 - dx) + c * (1 - dy) * dx + d * dy * dx)


def nearest_f32(size, out, align, half):
    """Input index of every output index; TFLite rounds the scale and the product to float32."""
    step = f32(Fraction(size - 1, out - 1)) if align and out > 1 else f32(Fraction(size, out))
    positions = [f32((i + (Fraction(1, 2) if half else 0)) * step) for i in range(out)]
    return [clamp(half_away(p) if align else floor(p), 0, size - 1) for p in positions]


def pool_average(values, kind, rule, zx, zy, factors, lo, hi):
    """`raw`: TFLite, codes only.  `rescale`: centred sum times the factor of that count."""
    n = len(values)
    if rule == "raw":
        return clamp(half_away(Fraction(sum(values), n)), lo, hi)
    m, s = factors[n - 1]
    assert lo >= RANGES[kind][0] and hi <= RANGES[kind][1]
    return clamp(zy + RESCALE["once"](sum(values) - n * zx, m, s), lo, hi)
