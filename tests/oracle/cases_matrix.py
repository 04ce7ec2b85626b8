"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED with random geometry, scales and zero points."""
import numpy as np

from draw import ACTIVATION_NUMBERS, Draw, one_input


def weight_scales(draw, count, per_channel):
    base = draw.scale(-10, -4)
    if not per_channel:
        return [base]
    return [draw.near(base, 2) for _ in range(count)]


def output_scale(draw, sx, scales, terms, largest=14):
    """Puts the typical sum of `terms` products somewhere in the output range; sometimes far outside it, with real
    factors up to 2^largest (times the spread of the channels)."""
    if draw.chance(0.1):  # factors above one, up to the last shift to the left, and far below
        return np.float32(float(sx) * float(scales[0]) * 2.0 ** draw.rng.uniform(-largest, 30))
    typical = float(sx) * float(np.median(scales)) * np.sqrt(terms) * 5000
    return draw.near(typical / draw.pick(20, 60, 60, 150))


def windows_options(draw, kernel, same_side):
    stride, dilation = (draw.between(1, 3), draw.between(1, 3)), (1, 1)
    if draw.chance(0.3):
        dilation, stride = (draw.between(1, 3), draw.between(1, 3)), (1, 1)
    smallest = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    height, width = (max(1 if same_side else s, draw.between(s - 2, s + 6)) for s in smallest)
    return stride, dilation, height, width


def conv_case(draw, name, dtype, depthwise=False, bits=8, per_channel=True, groups=1, bias=True, activation=None):
    same = draw.chance(0.6)
    kernel = draw.pick((1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 2), (4, 1))
    stride, dilation, height, width = windows_options(draw, kernel, same)
    cin = groups * draw.between(1, 11)
    times = draw.pick(1, 1, 2, 3, 8)
    cout = cin * times if depthwise else groups * draw.between(1, 13)
    sx, zx = draw.scale(-8, 0), draw.zero_point(dtype)
    terms = kernel[0] * kernel[1] * (1 if depthwise else cin // groups)
    scales = weight_scales(draw, cout, per_channel and dtype == "int8" and cout > 1)
    shape = [1, *kernel, cout] if depthwise else [cout, *kernel, cin // groups]
    if dtype == "uint8":
        data, zeros = draw.rng.integers(0, 256, shape).astype(np.uint8), [draw.zero_point("uint8")]
    else:
        data, zeros = draw.weights(shape, bits), [0] * len(scales)
    sy = output_scale(draw, sx, scales, terms)
    span = max(1, int(2 * np.sqrt(terms) * 5000 * draw.pick(0.1, 1, 1)))
    if not bias:
        span = 1  # CONV_2D needs the tensor
    if dtype == "uint8":  # refused where |sx*sw - bias scale| / sy > 0.02
        bias_scales = [np.float32(sx * scales[0])]
    else:
        bias_scales = [np.float32(sx * s) for s in scales]

    def build(net, x):
        w = net.const(data, "int4" if bits == 4 else None, scales, zeros, 3 if depthwise else 0)
        inputs = [x, w]
        if bias or not depthwise:
            values = draw.rng.integers(-span + 1, span, cout).astype(np.int32)
            inputs.append(net.const(values, None, bias_scales, [0] * len(bias_scales)))
        if same:
            out = [-(-height // stride[0]), -(-width // stride[1])]
        else:
            out = [(s - (k - 1) * d - 1) // t + 1 for s, k, d, t in zip((height, width), kernel, dilation, stride)]
        y = net.value([batch, *out, cout], dtype, sy, draw.zero_point(dtype))
        options = dict(padding=0 if same else 1, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
                       dilationWFactor=dilation[1],
                       fusedActivationFunction=draw.activation() if activation is None else activation)
        if depthwise:
            options["depthMultiplier"] = times
        net.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [y], **options)
        return [y]

    batch = draw.pick(1, 1, 2)
    return one_input(draw, name, [batch, height, width, cin], dtype, sx, zx, build)


def conv_2d(count):
    for i in range(count):
        draw = Draw(f"conv{i}")
        yield conv_case(draw, f"s8_{i}", "int8", per_channel=draw.chance(0.8), bias=draw.chance(0.9))
        yield conv_case(draw, f"u8_{i}", "uint8", bias=draw.chance(0.9))
    for i in range(count // 3):
        yield conv_case(Draw(f"conv4{i}"), f"s4_{i}", "int8", bits=4)
        yield conv_case(Draw(f"convg{i}"), f"s8_groups_{i}", "int8", groups=2 + i % 3)
        yield conv_case(Draw(f"convug{i}"), f"u8_groups_{i}", "uint8", groups=2 + i % 3)


def depthwise_conv_2d(count):
    for i in range(count):
        draw = Draw(f"dw{i}")
        yield conv_case(draw, f"s8_{i}", "int8", depthwise=True, per_channel=draw.chance(0.8), bias=draw.chance(0.9))
        yield conv_case(draw, f"u8_{i}", "uint8", depthwise=True, bias=draw.chance(0.9))
    for i in range(count // 3):
        yield conv_case(Draw(f"dw4{i}"), f"s4_{i}", "int8", depthwise=True, bits=4)


def fully_connected_case(draw, name, dtype, per_channel, bits=8, power_of_two=False):
    units, depth = draw.between(1, 17), draw.between(1, 70)
    keep = draw.chance(0.4)
    lead = [draw.between(1, 4), draw.between(1, 3)] if keep else [draw.pick(1, 1, 3)]
    sx, zx = draw.scale(-8, 0), draw.zero_point(dtype)
    scales = weight_scales(draw, units, per_channel and units > 1)
    # the reference converts a double to int32 here: beyond 2^31 the C++ is undefined, so factors stay small
    sy = output_scale(draw, sx, scales, depth, largest=2)
    if power_of_two:  # exact ties on both sides of zero
        sx, scales, sy = np.float32(0.5), [np.float32(0.25)] * len(scales), np.float32(2.0 ** draw.between(0, 6))
    if dtype == "uint8":
        data, zeros = draw.rng.integers(0, 256, (units, depth)).astype(np.uint8), [draw.zero_point("uint8")]
    else:
        data, zeros = draw.weights((units, depth), bits), [0] * len(scales)

    def build(net, x):
        inputs = [x, net.const(data, "int4" if bits == 4 else None, scales, zeros, 0)]
        if draw.chance(0.75):
            span = max(2, int(np.sqrt(depth) * 5000))
            bias_scales = [np.float32(sx * s) for s in scales]
            values = draw.rng.integers(-span, span, units).astype(np.int32)
            inputs.append(net.const(values, None, bias_scales, [0] * len(bias_scales)))
        elif draw.chance(0.5):
            inputs.append(-1)
        out = lead + [units] if keep else [int(np.prod(lead)), units]
        y = net.value(out, dtype, sy, draw.zero_point(dtype))
        net.op("FULLY_CONNECTED", inputs, [y], keepNumDims=keep, fusedActivationFunction=draw.activation())
        return [y]

    return one_input(draw, name, lead + [depth], dtype, sx, zx, build)


def fully_connected(count):
    for i in range(count):
        yield fully_connected_case(Draw(f"fct{i}"), f"s8_per_tensor_{i}", "int8", False)
        yield fully_connected_case(Draw(f"fcc{i}"), f"s8_per_channel_{i}", "int8", True)
        yield fully_connected_case(Draw(f"fcu{i}"), f"u8_{i}", "uint8", False)
    for i in range(count // 3):
        yield fully_connected_case(Draw(f"fc4{i}"), f"s4_{i}", "int8", i % 2 == 0, bits=4)
        yield fully_connected_case(Draw(f"fcp{i}"), f"s8_ties_{i}", "int8", i % 2 == 0, power_of_two=True)
        yield fully_connected_case(Draw(f"fcup{i}"), f"u8_ties_{i}", "uint8", False, power_of_two=True)


def fully_connected_flattens(count):
    """keep_num_dims off with an input of rank 4: the trailing axes are folded into the depth of the weights."""
    for i in range(count):
        draw = Draw(f"fcf{i}")
        shape = [draw.pick(1, 2), draw.between(1, 4), draw.between(1, 4), draw.between(1, 5)]
        depth, units = int(np.prod(shape[1:])), draw.between(1, 9)
        sx, sw = draw.scale(-6, 0), draw.scale(-9, -5)
        sy = output_scale(draw, sx, [sw], depth)

        def build(net, x):
            w = net.const(draw.weights((units, depth)), None, [sw], [0])
            y = net.value([shape[0], units], "int8", sy, draw.zero_point("int8"))
            net.op("FULLY_CONNECTED", [x, w], [y], fusedActivationFunction=ACTIVATION_NUMBERS["NONE"])
            return [y]

        yield one_input(draw, f"s8_flatten_{i}", shape, "int8", sx, draw.zero_point("int8"), build)


FAMILIES = {"CONV_2D": [conv_2d], "DEPTHWISE_CONV_2D": [depthwise_conv_2d],
            "FULLY_CONNECTED": [fully_connected, fully_connected_flattens]}
