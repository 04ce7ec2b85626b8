"""A network as a TFLite file: int8 activations, int8 weights per channel, int32 bias, int8 in and out."""
from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from as_onnx import Ranges
from networks import Layer, Network

Operator, Type, Activation = schema.BuiltinOperator, schema.TensorType, schema.ActivationFunctionType
ACTIVATIONS = {None: Activation.NONE, "relu": Activation.RELU, "relu6": Activation.RELU6}


def activation_codes(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of int8 codes for `low..high`."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255.0, 1e-8)
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def weight_codes(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 codes per output channel (axis 0), and the scales."""
    flat = weights.reshape(weights.shape[0], -1)
    scales = np.maximum(np.abs(flat).max(1) / 127.0, 1e-10).astype(np.float32)
    codes = np.clip(np.round(flat / scales[:, None]), -127, 127).astype(np.int8)
    return codes.reshape(weights.shape), scales


class Writer:
    """Collects tensors, buffers and operators."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = 3, b"seeded weights"
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []  # buffer 0 is empty
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], b"main"
        self.model.subgraphs = [self.graph]
        self.codes: dict[int, int] = {}

    def tensor(self, name: str, shape, kind: int, scale=None, zero_point: int = 0, data=None, axis: int = 0) -> int:
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name.encode(), np.array(shape, np.int32), kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        if scale is not None:
            q = t.quantization = schema.QuantizationParametersT()
            q.scale = np.atleast_1d(np.asarray(scale, np.float32))
            q.zeroPoint, q.quantizedDimension = np.full(len(q.scale), zero_point, np.int64), axis
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, version: int, inputs: list[int], output: int, kind: int, options) -> None:
        if code not in self.codes:
            self.codes[code] = len(self.model.operatorCodes)
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = version
            self.model.operatorCodes.append(entry)
        o = schema.OperatorT()
        o.opcodeIndex, o.builtinOptionsType, o.builtinOptions = self.codes[code], kind, options
        o.inputs, o.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        self.graph.operators.append(o)

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def weighted(writer: Writer, layer: Layer, scale: float, inputs: list[int], output: int) -> None:
    """A layer with weights; `scale` is that of its input."""
    weights, scales = weight_codes(layer.weights)
    factors = scales.astype(np.float64) * scale
    bias = writer.tensor(layer.output + "_b", [len(scales)], Type.INT32, factors,
                         data=np.round(layer.bias / factors).astype(np.int32))
    options = schema.BuiltinOptions
    if layer.kind == "dense":
        o, axis = schema.FullyConnectedOptionsT(), 0
        o.fusedActivationFunction, o.weightsFormat = Activation.NONE, 0
        code, version, kind = Operator.FULLY_CONNECTED, 5, options.FullyConnectedOptions
    elif layer.groups > 1:
        o, axis, weights = schema.DepthwiseConv2DOptionsT(), 3, weights.transpose(1, 2, 3, 0)
        o.depthMultiplier = 1
        code, version, kind = Operator.DEPTHWISE_CONV_2D, 3, options.DepthwiseConv2DOptions
    else:
        o, axis, weights = schema.Conv2DOptionsT(), 0, weights.transpose(0, 2, 3, 1)
        code, version, kind = Operator.CONV_2D, 3, options.Conv2DOptions
    if layer.kind == "conv":
        o.padding, o.strideW, o.strideH = schema.Padding.SAME, layer.stride, layer.stride
        o.dilationWFactor = o.dilationHFactor = 1
        o.fusedActivationFunction = ACTIVATIONS[layer.activation]
    tensor = writer.tensor(layer.output + "_w", weights.shape, Type.INT8, scales, data=weights, axis=axis)
    writer.operator(code, version, [*inputs, tensor, bias], output, kind, o)


def weightless(writer: Writer, layer: Layer, inputs: list[int], output: int) -> None:
    options = schema.BuiltinOptions
    if layer.kind == "add":
        o = schema.AddOptionsT()
        o.fusedActivationFunction = ACTIVATIONS[layer.activation]
        writer.operator(Operator.ADD, 2, inputs, output, options.AddOptions, o)
    elif layer.kind == "max_pool":
        o = schema.Pool2DOptionsT()
        o.padding, o.fusedActivationFunction = schema.Padding.SAME, Activation.NONE
        o.strideW, o.strideH, o.filterWidth, o.filterHeight = layer.stride, layer.stride, 3, 3
        writer.operator(Operator.MAX_POOL_2D, 2, inputs, output, options.Pool2DOptions, o)
    else:
        o = schema.ReducerOptionsT()
        o.keepDims = False
        axes = writer.tensor(layer.output + "_axes", [2], Type.INT32, data=np.array([1, 2], np.int32))
        writer.operator(Operator.MEAN, 2, [*inputs, axes], output, options.ReducerOptions, o)


def tflite(net: Network, ranges: Ranges) -> bytes:
    """The file.  SAME padding puts the odd row of a strided window at the end: as much work as ONNX's symmetric one."""
    writer = Writer()
    codes = {"picture": activation_codes(*ranges["picture"])}
    for layer in net.layers:
        # The maximum keeps the codes of its input.
        pooled = layer.kind == "max_pool"
        codes[layer.output] = codes[layer.inputs[0]] if pooled else activation_codes(*ranges[layer.output])
    flat = {layer.output for layer in net.layers if layer.kind in ("mean", "dense")}
    tensors = {}
    for name, (channels, height, width) in net.shapes.items():
        shape = [1, channels] if name in flat else [1, height, width, channels]
        tensors[name] = writer.tensor(name, shape, Type.INT8, *codes[name])
    for layer in net.layers:
        inputs, output = [tensors[name] for name in layer.inputs], tensors[layer.output]
        if layer.weights is not None:
            weighted(writer, layer, codes[layer.inputs[0]][0], inputs, output)
        else:
            weightless(writer, layer, inputs, output)
    writer.graph.inputs = np.array([tensors["picture"]], np.int32)
    writer.graph.outputs = np.array([tensors[net.output]], np.int32)
    return writer.bytes()
