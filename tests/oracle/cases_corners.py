"""Combinations at the edge of what LiteRT accepts.  Where it refuses, that is the answer README.md lists; where it
runs, the case is stored like every other."""
import numpy as np

from draw import Draw, RANGES, every_code, one_input


def single(name, shape, dtype, sx, zx, build, codes=None):
    return one_input(Draw("corner" + name), name, shape, dtype, np.float32(sx), zx, build, sets=2, codes=codes)


def simple(op, out_scale, out_zero, extra=lambda net: [], out_shape=None, **options):
    def build(net, x):
        t = net.tensors[x]
        y = net.value(out_shape or t.shape, t.dtype, np.float32(out_scale), out_zero)
        net.op(op, [x, *extra(net)], [y], **options)
        return [y]
    return build


def pointwise(x_codes):
    for op in ("ADD", "SUB"):
        # a third factor above one: ADD aborts; SUB shifts right by a negative number, which C++ leaves undefined
        for name, sy in (("factor_above_one", 2.0**-21), ("factor_just_below_one", 2.0**-19 * 1.0001)):
            if op == "SUB" and name == "factor_above_one":
                continue
            constant = lambda net: [net.const(np.array([3], np.int8), None, [1.0], [0])]
            yield single(f"{op}_{name}", [1, 16, 16, 1], "int8", 1.0, 0,
                         simple(op, sy, 0, constant, fusedActivationFunction=0), x_codes)
    for kind, low in (("int8", -128), ("uint8", 0)):
        codes = [every_code(kind)]
        yield single(f"RELU6_above_the_type_{kind}", [1, 16, 16, 1], kind, 0.1, low + 3, simple("RELU6", 0.001, 50), codes)
        yield single(f"RELU_zero_point_at_top_{kind}", [1, 16, 16, 1], kind, 0.1, low, simple("RELU", 0.05, low + 255), codes)
        yield single(f"QUANTIZE_left_shift_wraps_{kind}", [1, 16, 16, 1], kind, 1.0, low + 100,
                     simple("QUANTIZE", 2.0**-27 * 1.1, low + 100), codes)
        yield single(f"MUL_left_shift_wraps_{kind}", [1, 16, 16, 1], kind, 1.0, low + 100,
                     lambda net, x, k=kind, z=low + 100: self_product(net, x, k, z), codes)
        yield single(f"HARD_SWISH_output_factor_above_one_{kind}", [1, 16, 16, 1], kind, 1.0, low + 100,
                     simple("HARD_SWISH", 0.003, low + 100), codes)
        yield single(f"TANH_other_output_scale_{kind}", [1, 16, 16, 1], kind, 0.03, low + 128, simple("TANH", 0.0131, low), codes)
        yield single(f"LOGISTIC_other_output_scale_{kind}", [1, 16, 16, 1], kind, 0.03, low + 128,
                     simple("LOGISTIC", 0.005, low), codes)
        yield single(f"LOGISTIC_other_output_zero_{kind}", [1, 16, 16, 1], kind, 0.03, low + 128,
                     simple("LOGISTIC", 1 / 256, low + 9), codes)


def self_product(net, x, kind, zero):
    y = net.value([1, 16, 16, 1], kind, np.float32(2.0**-17), zero)
    net.op("MUL", [x, x], [y], fusedActivationFunction=0)
    return [y]


def image():
    for kind, low in (("int8", -128), ("uint8", 0)):
        window = dict(padding=0, strideH=1, strideW=1, filterHeight=3, filterWidth=3, fusedActivationFunction=3)
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield single(f"{op}_other_output_scale_{kind}", [1, 5, 5, 3], kind, 0.1, low + 9, simple(op, 0.07, low + 40, **window))
            yield single(f"{op}_relu6_{kind}", [1, 5, 5, 3], kind, 0.1, low + 9, simple(op, 0.1, low + 9, **window))
        yield single(f"SOFTMAX_sum_512_{kind}", [1, 512], kind, 0.1, 0, simple("SOFTMAX", 1 / 256, low, beta=1.0),
                     [np.full((1, 512), 7, kind)])
        yield single(f"SOFTMAX_sum_511_{kind}", [1, 511], kind, 0.1, 0, simple("SOFTMAX", 1 / 256, low, beta=1.0),
                     [np.full((1, 511), 7, kind)])
        yield single(f"SOFTMAX_other_output_zero_{kind}", [1, 9], kind, 0.1, 0, simple("SOFTMAX", 1 / 256, low + 5, beta=1.0))
        yield single(f"SOFTMAX_other_output_scale_{kind}", [1, 9], kind, 0.1, 0, simple("SOFTMAX", 1 / 200, low, beta=1.0))
        yield single(f"SOFTMAX_factor_capped_{kind}", [1, 9], kind, 40.0, 0, simple("SOFTMAX", 1 / 256, low, beta=1.0))
        yield single(f"SOFTMAX_factor_below_one_{kind}", [1, 9], kind, 2.0**-27, 0, simple("SOFTMAX", 1 / 256, low, beta=1.0))
        yield single(f"SOFTMAX_beta_zero_{kind}", [1, 9], kind, 0.1, 0, simple("SOFTMAX", 1 / 256, low, beta=0.0))
        for op in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            size = lambda net: [net.indices([7, 3])]
            yield single(f"{op}_other_output_scale_{kind}", [1, 5, 5, 2], kind, 0.1, low + 9,
                         simple(op, 0.07, low + 40, size, [1, 7, 3, 2], alignCorners=False, halfPixelCenters=True))
        yield single(f"MEAN_factor_tiny_{kind}", [1, 16, 16, 2], kind, 2.0**-30, low,
                     simple("MEAN", 1.0, low + 5, lambda net: [net.indices([1, 2])], [1, 1, 1, 2], keepDims=True))
        for exponent in (-31, -32, -33):
            yield single(f"MEAN_exponent_{-exponent}_{kind}", [1, 16, 16, 2], kind, 2.0**exponent * 1.2, low,
                         simple("MEAN", 1.0, low + 5, lambda net: [net.indices([1, 2])], [1, 1, 1, 2], keepDims=True))
        yield single(f"MEAN_no_axis_{kind}", [1, 3, 3, 2], kind, 0.1, low,
                     simple("MEAN", 0.07, low + 5, lambda net: [net.indices([])], [1, 3, 3, 2], keepDims=True))


def matrix(name, kind, w, w_scales, w_zeros, bias=None, bias_scales=None, op="FULLY_CONNECTED", sx=0.1, sy=0.2, act=0, axis=0):
    """One layer of 2 outputs and 3 inputs."""
    def build(net, x):
        low = RANGES[kind][0]
        inputs = [x, net.const(w, None, w_scales, w_zeros, axis)]
        if bias is not None:
            inputs.append(net.const(np.asarray(bias, np.int32), None, bias_scales, [0] * len(bias_scales)))
        y = net.value([1, 2] if op == "FULLY_CONNECTED" else [1, 1, 1, 2], kind, np.float32(sy), low + 128)
        options = {} if op == "FULLY_CONNECTED" else dict(padding=1, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
        net.op(op, inputs, [y], fusedActivationFunction=act, **options)
        return [y]
    shape = [1, 3] if op == "FULLY_CONNECTED" else [1, 1, 1, 3]
    return single(name, shape, kind, sx, RANGES[kind][0] + 100, build)


def matrices():
    s8 = np.array([[1, -2, 3], [-128, 127, 5]], np.int8)
    u8 = np.array([[1, 200, 3], [255, 127, 5]], np.uint8)
    s = np.float32(0.02)
    yield matrix("FULLY_CONNECTED_s8_weight_zero_point", "int8", s8, [s], [7])
    yield matrix("FULLY_CONNECTED_u8_per_channel", "uint8", u8, [s, s / 2], [7, 9])
    yield matrix("FULLY_CONNECTED_bias_scale_off_s8", "int8", s8, [s], [0], [9, -9], [np.float32(0.05)])
    yield matrix("FULLY_CONNECTED_bias_scale_off_u8", "uint8", u8, [s], [7], [9, -9], [np.float32(0.05)])
    yield matrix("FULLY_CONNECTED_tiny_factor", "int8", s8, [s], [0], [2**31 - 1, -(2**31)], [np.float32(0.002)], sy=1e7)
    yield matrix("FULLY_CONNECTED_relu6", "int8", s8, [s], [0], act=3, sy=0.01)
    c8, cu = s8.reshape(2, 1, 1, 3), u8.reshape(2, 1, 1, 3)
    zero, b = [0, 0], [np.float32(0.002)]
    yield matrix("CONV_2D_no_bias", "int8", c8, [s], [0], op="CONV_2D")
    yield matrix("CONV_2D_s8_weight_zero_point", "int8", c8, [s], [7], zero, b, "CONV_2D")
    yield matrix("CONV_2D_u8_per_channel", "uint8", cu, [s, s / 2], [7, 9], zero, b, "CONV_2D")
    yield matrix("CONV_2D_bias_scale_off_s8", "int8", c8, [s], [0], [9, -9], [np.float32(0.05)], "CONV_2D")
    yield matrix("CONV_2D_bias_scale_off_u8", "uint8", cu, [s], [7], [9, -9], [np.float32(0.05)], "CONV_2D")
    yield matrix("CONV_2D_left_shift_wraps", "int8", c8, [s], [0], [2**30, -(2**30)], b, "CONV_2D", sy=2.0**-15)
    yield matrix("CONV_2D_flushed_to_zero", "int8", c8, [s], [0], [2**31 - 1, -(2**31)], b, "CONV_2D", sy=1e8)
    yield matrix("CONV_2D_factor_2_to_minus_31", "int8", c8, [s], [0], [2**30, -(2**30)], b, "CONV_2D", sy=0.1 * 0.02 * 2.0**31.5)
    yield matrix("CONV_2D_relu6_beyond_int32", "int8", c8, [s], [0], zero, b, "CONV_2D", sy=2.0**-40, act=3)
    yield matrix("CONV_2D_relu_n1_to_1", "int8", c8, [s], [0], zero, b, "CONV_2D", sy=0.01, act=2)


def concatenations():
    for kind, low in (("int8", -128), ("uint8", 0)):
        def build(net, x, k=kind, z=low + 20):
            y = net.value([1, 32, 16, 1], k, np.float32(0.07), z)
            net.op("CONCATENATION", [x, x], [y], axis=1)
            return [y]
        yield single(f"CONCATENATION_other_scale_{kind}", [1, 16, 16, 1], kind, 0.1, low + 5, build, [every_code(kind)])

        def fused(net, x, k=kind, z=low + 20):
            y = net.value([1, 32, 16, 1], k, np.float32(0.1), z)
            net.op("CONCATENATION", [x, x], [y], axis=1, fusedActivationFunction=1)
            return [y]
        yield single(f"CONCATENATION_fused_relu_{kind}", [1, 16, 16, 1], kind, 0.1, low + 20, fused, [every_code(kind)])


def corners(_count):
    yield from pointwise([every_code("int8")])
    yield from image()
    yield from matrices()
    yield from concatenations()


FAMILIES = {"CORNER": [corners]}
