"""Small quantized TFLite files built by hand, and read back.

`Net` collects tensors and operators of one graph and packs them; `load` gives the packed file back as a plain
list of operators with their tensors.  The flatbuffer classes are those of the ai-edge-litert package.
"""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8, "int32": schema.TensorType.INT32,
         "int64": schema.TensorType.INT64, "int4": schema.TensorType.INT4}
TYPE_NAMES = {v: k for k, v in TYPES.items()}
OPERATOR_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
ACTIVATIONS = ["NONE", "RELU", "RELU_N1_TO_1", "RELU6"]

# operator -> class of its options in the schema (None: it has none)
OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions", "PAD": "PadOptions", "PADV2": "PadV2Options",
    "CONCATENATION": "ConcatenationOptions", "RESHAPE": "ReshapeOptions", "TRANSPOSE": "TransposeOptions",
    "SPLIT": "SplitOptions", "SPLIT_V": "SplitVOptions", "SLICE": "SliceOptions", "STRIDED_SLICE": "StridedSliceOptions",
    "PACK": "PackOptions", "UNPACK": "UnpackOptions", "TILE": "TileOptions", "QUANTIZE": "QuantizeOptions",
    "LEAKY_RELU": "LeakyReluOptions", "HARD_SWISH": "HardSwishOptions", "SOFTMAX": "SoftmaxOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "ARG_MAX": "ArgMaxOptions", "RELU": None, "RELU6": None, "RELU_N1_TO_1": None, "PRELU": None, "LOGISTIC": None,
    "TANH": None,
}


class Tensor:
    """shape, type name, scales (list of f32), zero_points, quantized axis, constant data or None."""

    def __init__(self, shape, dtype, scales=(), zero_points=(), axis=0, data=None):
        self.shape, self.dtype, self.axis, self.data = [int(d) for d in shape], dtype, axis, data
        self.scales = [np.float32(s) for s in scales]
        self.zero_points = [int(z) for z in zero_points]

    @property
    def scale(self):
        return self.scales[0]

    @property
    def zero_point(self):
        return self.zero_points[0] if self.zero_points else 0


def pack_int4(values):
    """Two values a byte, element 0 in the low nibble, row-major over the whole tensor."""
    flat = np.asarray(values, np.int8).reshape(-1).astype(np.uint8) & 15
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return (flat[0::2] | (flat[1::2] << 4)).tobytes()


def unpack_int4(raw, shape):
    raw = np.frombuffer(raw, np.uint8)
    flat = np.stack([raw & 15, raw >> 4], 1).reshape(-1)[: int(np.prod(shape))].astype(np.int16)
    return np.where(flat > 7, flat - 16, flat).astype(np.int8).reshape(shape)


class Net:
    def __init__(self):
        self.tensors, self.operators, self.inputs = [], [], []

    def add(self, tensor):
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(self, shape, dtype, scale, zero_point):
        index = self.add(Tensor(shape, dtype, [scale], [zero_point]))
        self.inputs.append(index)
        return index

    def value(self, shape, dtype, scale=None, zero_point=0):
        """An activation that some operator writes; no scale for plain integers such as indices."""
        return self.add(Tensor(shape, dtype, [] if scale is None else [scale], [] if scale is None else [zero_point]))

    def const(self, data, dtype=None, scales=(), zero_points=(), axis=0):
        data = np.asarray(data)
        return self.add(Tensor(data.shape, dtype or str(data.dtype), scales, zero_points, axis, data))

    def indices(self, values):
        return self.const(np.asarray(values, np.int32))

    def op(self, name, inputs, outputs, **options):
        self.operators.append((name, list(inputs), list(outputs), options))

    def pack(self, outputs):
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.description, graph.name = 3, "operator case", "main"
        model.buffers = [schema.BufferT()]
        model.operatorCodes, graph.tensors, graph.operators = [], [], []
        for i, t in enumerate(self.tensors):
            graph.tensors.append(self._pack_tensor(model, i, t))
        codes = {}
        for name, inputs, outs, options in self.operators:
            if name not in codes:
                codes[name] = len(codes)
                code, number = schema.OperatorCodeT(), getattr(schema.BuiltinOperator, name)
                code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
                model.operatorCodes.append(code)
            graph.operators.append(self._pack_operator(codes[name], name, inputs, outs, options))
        graph.inputs, graph.outputs = self.inputs, list(outputs)
        model.subgraphs = [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _pack_tensor(model, i, t):
        out = schema.TensorT()
        out.name, out.shape, out.type, out.buffer = f"t{i}", t.shape, TYPES[t.dtype], 0
        if t.data is not None:
            buffer = schema.BufferT()
            raw = pack_int4(t.data) if t.dtype == "int4" else np.ascontiguousarray(t.data).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            out.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if t.scales:
            q = schema.QuantizationParametersT()
            q.scale, q.zeroPoint, q.quantizedDimension = list(map(float, t.scales)), t.zero_points, t.axis
            out.quantization = q
        return out

    @staticmethod
    def _pack_operator(code, name, inputs, outputs, options):
        out = schema.OperatorT()
        out.opcodeIndex, out.inputs, out.outputs = code, inputs, outputs
        if OPTIONS[name]:
            kind = OPTIONS[name]
            out.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            out.builtinOptions = getattr(schema, kind + "T")()
            for k, v in options.items():
                assert hasattr(out.builtinOptions, k), (name, k)
                setattr(out.builtinOptions, k, v)
        return out


class Op:
    def __init__(self, name, inputs, outputs, options):
        self.name, self.inputs, self.outputs, self.options = name, inputs, outputs, options

    @property
    def activation(self):
        return ACTIVATIONS[self.options.fusedActivationFunction or 0]


def load(raw):
    """(tensors, operators, graph inputs, graph outputs) of a packed file; constants are decoded arrays."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(raw, 0))
    graph, tensors, operators = model.subgraphs[0], [], []
    for t in graph.tensors:
        q, data = t.quantization, model.buffers[t.buffer].data
        dtype = TYPE_NAMES.get(t.type, f"type{t.type}")
        shape = [] if t.shape is None else [int(d) for d in t.shape]
        scales = [] if q is None or q.scale is None else list(q.scale)
        zeros = [] if q is None or q.zeroPoint is None else list(q.zeroPoint)
        if data is not None and len(data) and dtype in TYPES:
            raw_data = np.asarray(data, np.uint8).tobytes()
            data = unpack_int4(raw_data, shape) if dtype == "int4" else np.frombuffer(raw_data, dtype).reshape(shape)
        elif dtype in TYPES and 0 in shape:
            data = np.zeros(shape, dtype)
        else:
            data = None
        tensors.append(Tensor(shape, dtype, scales, zeros, 0 if q is None else int(q.quantizedDimension or 0), data))
    for o in graph.operators:
        code = model.operatorCodes[o.opcodeIndex]
        name = OPERATOR_NAMES[max(code.builtinCode or 0, code.deprecatedBuiltinCode or 0)]
        operators.append(Op(name, [int(i) for i in o.inputs], [int(i) for i in o.outputs], o.builtinOptions))
    return tensors, operators, [int(i) for i in graph.inputs], [int(i) for i in graph.outputs]
