"""A network as ONNX: in floating point, and quantized by ONNX Runtime's own static quantizer."""
from __future__ import annotations

import os
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from networks import CLASSES, PICTURE, Layer, Network

Ranges = dict[str, tuple[float, float]]


def pictures(count: int = 4) -> list[np.ndarray]:
    """Seeded pictures to calibrate with, NCHW in -1..1."""
    generator = np.random.default_rng(7)
    return [generator.uniform(-1, 1, (1, *PICTURE)).astype(np.float32) for _ in range(count)]


class Reader(CalibrationDataReader):
    """Hands the pictures to the quantizer."""

    def __init__(self) -> None:
        self.feeds = iter([{"picture": picture} for picture in pictures()])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def nodes(layer: Layer, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The operators of one layer; what they read besides its inputs goes to `constants`."""
    out = layer.output

    def constant(suffix: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, out + suffix))
        return out + suffix

    raw = out + "_raw" if layer.activation else out
    made = []
    if layer.weights is not None:
        operands = [constant("_w", layer.weights), constant("_b", layer.bias)]
    if layer.kind == "conv":
        kernel = layer.weights.shape[2]
        made.append(helper.make_node("Conv", [*layer.inputs, *operands], [raw], kernel_shape=[kernel] * 2,
                                     strides=[layer.stride] * 2, pads=[kernel // 2] * 4, group=layer.groups))
    elif layer.kind == "add":
        made.append(helper.make_node("Add", layer.inputs, [raw]))
    elif layer.kind == "max_pool":
        made.append(helper.make_node("MaxPool", layer.inputs, [raw], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    elif layer.kind == "mean":
        made.append(helper.make_node("GlobalAveragePool", layer.inputs, [raw]))
    else:
        made.append(helper.make_node("Flatten", layer.inputs, [out + "_flat"]))
        made.append(helper.make_node("Gemm", [out + "_flat", *operands], [raw], transB=1))
    if layer.activation == "relu":
        made.append(helper.make_node("Relu", [raw], [out]))
    elif layer.activation == "relu6":
        limits = [constant("_lo", np.float32(0)), constant("_hi", np.float32(6))]
        made.append(helper.make_node("Clip", [raw, *limits], [out]))
    for i, node in enumerate(made):
        node.name = f"{out}_{i}"
    return made


def floating(net: Network, every_output: bool = False) -> onnx.ModelProto:
    """The float network, for one picture.  With `every_output` each layer's output is one of the network's."""
    constants: list[onnx.TensorProto] = []
    operators = [node for layer in net.layers for node in nodes(layer, constants)]
    wanted = [layer.output for layer in net.layers] if every_output else [net.output]
    shapes = {**net.shapes, net.output: (CLASSES,)}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shapes[name]])
              for name in ["picture", *wanted]]
    graph = helper.make_graph(operators, net.name, values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def ranges(net: Network) -> Ranges:
    """Smallest and largest value of every tensor over the calibration pictures."""
    session = onnxruntime.InferenceSession(
        floating(net, every_output=True).SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found: Ranges = {"picture": (-1.0, 1.0)}
    for picture in pictures():
        for name, values in zip(names, session.run(None, {"picture": picture})):
            low, high = found.get(name, (0.0, 0.0))
            found[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return found


def quantized(net: Network, activations: QuantType) -> bytes:
    """QuantizeLinear/DequantizeLinear pairs: weights in INT8 per channel, activations of the given type."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "float.onnx"), os.path.join(folder, "int8.onnx")
        onnx.save(floating(net), source)
        quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=activations, weight_type=QuantType.QInt8)
        with open(target, "rb") as file:
            return file.read()
