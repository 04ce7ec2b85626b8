"""ONNX's own conformance cases as networks that Dyadic compiles.

A case of the package `onnx` is one operator with inputs and outputs.  `networks(case)` wraps it in every form that it
has: operators on integers as they are; operators that move values between codes, and between real numbers; operators
on real numbers between DequantizeLinear and QuantizeLinear.  Inputs that say how (shapes, axes, weights, scales) become
constants.  What a network should give comes from the case itself where it is on integers, else from ONNX's reference
evaluator, which runs the operator on the real numbers that the codes stand for.
"""
import dataclasses
import glob
import os
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

INTEGER = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear"}
MOVEMENT = {
    "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Concat", "Pad", "Tile",
    "Expand", "Identity", "Dropout", "MaxPool", "GlobalMaxPool", "ArgMax", "DepthToSpace", "SpaceToDepth", "Clip",
    "Relu", "Cast", "Upsample"}
FOLDED = {"Constant", "ConstantOfShape", "Shape", "Size"}
REAL = {
    "Add", "Sub", "Mul", "Div", "AveragePool", "GlobalAveragePool", "ReduceMean", "Conv", "Gemm", "MatMul", "Sigmoid",
    "Tanh", "LeakyRelu", "HardSwish", "Softmax", "BatchNormalization", "PRelu"}
PAIRS = {"Add", "Sub", "Mul", "Div"}
WEIGHTED = {"Conv": 0, "Gemm": 1, "MatMul": 1}
# Operators whose lists were attributes once: the operator set, and the attribute of input 1.
ATTRIBUTES = {"Squeeze": (11, "axes"), "Unsqueeze": (11, "axes"), "Split": (11, "split"), "ReduceMean": (17, "axes")}
CODES = {np.dtype(np.int8): TensorProto.INT8, np.dtype(np.uint8): TensorProto.UINT8}


@dataclasses.dataclass
class Case:
    """One operator with its inputs (None where left out) and outputs."""
    name: str
    node: onnx.NodeProto
    opset: int
    inputs: list
    outputs: list

    @property
    def operator(self):
        return self.node.op_type

    def seed(self):
        return np.random.default_rng(zlib.crc32(self.name.encode()))


@dataclasses.dataclass
class Network:
    """A network, what it is fed and what it should give."""
    case: Case
    form: str
    model: onnx.ModelProto
    feeds: list
    wanted: list
    dequantize: bool = False

    @property
    def name(self):
        return f"{self.case.name} ({self.form})"


def array(value):
    """A tensor of the test data as an array; codes of less than 8 bits in 8."""
    if not isinstance(value, TensorProto):
        return value
    kind = TensorProto.DataType.Name(value.data_type)
    if kind in ("UINT4", "UINT2"):
        return numpy_helper.to_array(value).astype(np.uint8)
    if kind in ("INT4", "INT2"):
        return numpy_helper.to_array(value).astype(np.int8)
    return numpy_helper.to_array(value)


def collected():
    """All cases of one operator: those that the package makes, and those stored from PyTorch."""
    for test in collect_testcases(None):
        nodes = test.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain and test.data_sets:
            inputs, outputs = test.data_sets[0]
            opset = test.model.opset_import[0].version
            # Operator set 11 has the integer operators of set 10 as they are.
            opset = max(opset, 11) if nodes[0].op_type in INTEGER else opset
            yield Case(test.name, nodes[0], opset, list(inputs), list(outputs))
    stored = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "pytorch-converted", "*")
    for folder in sorted(glob.glob(stored)):
        model = onnx.load(os.path.join(folder, "model.onnx"))
        if len(model.graph.node) != 1 or model.graph.node[0].op_type not in REAL | {"MaxPool"}:
            continue
        given = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        fed = [i.name for i in model.graph.input if i.name not in given]
        load = lambda name: numpy_helper.to_array(onnx.load_tensor(os.path.join(folder, "test_data_set_0", name)))
        given.update({name: load(f"input_{i}.pb") for i, name in enumerate(fed)})
        node = model.graph.node[0]
        kept = [a for a in node.attribute if a.name not in ("is_test", "broadcast", "consumed_inputs")]
        del node.attribute[:]
        node.attribute.extend(kept)
        yield Case(
            "pytorch " + os.path.basename(folder), node, 15, [given[i] for i in node.input if i], [load("output_0.pb")])


def single(case):
    """The operator alone, with the inputs that it has."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
    graph = helper.make_graph(
        [case.node], "single", [value(i) for i in case.node.input if i], [value(o) for o in case.node.output if o])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)])


def evaluated(case, inputs):
    names = [i for i in case.node.input if i]
    return ReferenceEvaluator(single(case)).run(None, dict(zip(names, inputs)))


def real(codes, scale, zero_point):
    return ((codes.astype(np.int64) - zero_point) * np.float32(scale)).astype(np.float32)


def coded(values, scale, zero_point, kind):
    limits = np.iinfo(kind)
    steps = np.rint(np.asarray(values, np.float32) / np.float32(scale)) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(kind)


def fitted(values, kind):
    """Scale and zero point that cover values; signed codes symmetric, unsigned ones not."""
    finite = values[np.isfinite(values)] if values.size else np.zeros(1)
    low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
    if np.dtype(kind) == np.uint8:
        scale = np.float32((high - low) / 255 or 1)
        return scale, int(np.clip(np.rint(-low / scale), 0, 255))
    return np.float32(max(-low, high) / 127 or 1), 0


class Graph:
    """A model under construction around the node of a case."""

    def __init__(self, case):
        self.case, self.nodes, self.constants, self.inputs, self.outputs, self.feeds = case, [], [], [], [], []
        self.names = [i for i in case.node.input if i]

    def constant(self, name, value):
        self.constants.append(value if isinstance(value, TensorProto) else numpy_helper.from_array(
            np.asarray(value), name))
        if isinstance(value, TensorProto):
            self.constants[-1].name = name
        return name

    def quantizer(self, op, source, target, scale, zero_point, kind, **attributes):
        scale = self.constant(target + "_scale", np.float32(scale))
        zero = self.constant(target + "_zero", np.asarray(zero_point, kind))
        self.nodes.append(helper.make_node(op, [source, scale, zero], [target], name=f"{op} {target}", **attributes))

    def fed(self, name, codes, kind=None):
        kind = kind or helper.np_dtype_to_tensor_dtype(codes.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, codes.shape))
        self.feeds.append((name, codes))

    def real_input(self, name, codes, scale, zero_point):
        """Codes fed, real numbers for the node."""
        self.fed(name + "_codes", codes)
        self.quantizer("DequantizeLinear", name + "_codes", name, scale, zero_point, codes.dtype)

    def given(self, name):
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None))

    def real_output(self, name, scale, zero_point, kind):
        self.quantizer("QuantizeLinear", name, name + "_codes", scale, zero_point, kind)
        self.given(name + "_codes")

    def node(self, node=None):
        self.nodes.append(node or self.case.node)

    def network(self, form, wanted, opset=None, dequantize=False):
        graph = helper.make_graph(self.nodes, "case", self.inputs, self.outputs, self.constants)
        for value in graph.output:
            if value.type.tensor_type.elem_type == TensorProto.UNDEFINED:
                value.type.tensor_type.elem_type = TensorProto.FLOAT if dequantize else TensorProto.INT8
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset or self.case.opset)])
        model.ir_version = 10
        return Network(self.case, form, model, self.feeds, wanted, dequantize)


def networks(case):
    """Every form of a case."""
    operator = case.operator
    if operator in INTEGER:
        yield from integers(case)
    elif operator == "Resize":
        text = {a.name: a.s.decode() for a in case.node.attribute if a.type == onnx.AttributeProto.STRING}
        yield from moved(case) if text.get("mode", "nearest") == "nearest" else reals(case)
    elif operator in MOVEMENT:
        yield from moved(case)
    elif operator in FOLDED:
        yield from folded(case)
    elif operator in REAL:
        yield from reals(case)


def integers(case):
    """The case as it is: the first input is fed, everything else is constant."""
    graph = Graph(case)
    names = graph.names
    first = array(case.inputs[0])
    if case.operator == "QuantizeLinear":
        graph.fed(names[0], first.astype(np.float32))
    else:
        kind = case.inputs[0].data_type if isinstance(case.inputs[0], TensorProto) else None
        graph.fed(names[0], first, kind)
    for name, value in zip(names[1:], case.inputs[1:]):
        graph.constant(name, value)
    graph.node()
    graph.given(case.node.output[0])
    yield graph.network("as it is", [array(case.outputs[0])], dequantize=case.operator == "DequantizeLinear")


def integer_forms(case, kind):
    """A convolution or product of real numbers as the operators on integers, with zero points and without."""
    rng = case.seed()
    limits = np.iinfo(kind)
    if case.operator == "MatMul":
        names, stack = ("QLinearMatMul", "MatMulInteger"), case.inputs[1].ndim
        if case.inputs[0].ndim < 2 or stack < 2:
            return
        channels = case.inputs[1].shape[-1]
    else:
        names, stack, channels = ("QLinearConv", "ConvInteger"), 2, case.inputs[1].shape[0]
    x = rng.integers(limits.min, limits.max + 1, case.inputs[0].shape).astype(kind)
    w = rng.integers(-90, 91, case.inputs[1].shape).astype(np.int8)
    x_zero = kind(rng.integers(limits.min, limits.max + 1))
    depth = w.size // max(w.shape[0] if case.operator == "Conv" else channels, 1)
    for per_channel in (False, True):
        count = (channels,) if per_channel else ()
        w_zero = rng.integers(-30, 31, count).astype(np.int8)
        w_scale = rng.uniform(0.01, 0.02, count).astype(np.float32)
        y_scale = np.float32(0.05 * 0.015 * 100 * 50 * np.sqrt(depth) / 127)
        y_zero = kind(rng.integers(-20, 20) + (128 if kind == np.uint8 else 0))
        scaled = [x, np.float32(0.05), x_zero, w, w_scale, w_zero, y_scale, y_zero]
        for name in names:
            if name == "MatMulInteger" and stack > 2:
                continue
            given = scaled if name.startswith("QLinear") else [x, w, x_zero, w_zero]
            node = helper.make_node(name, [f"in{i}" for i in range(len(given))], ["out"])
            node.attribute.extend(case.node.attribute)
            made = Case(case.name, node, max(case.opset, 11), list(given), [])
            if name == "QLinearConv" and len(case.inputs) > 2:
                node.input.append("bias")
                made.inputs.append(rng.integers(-3000, 3001, channels).astype(np.int32))
            wanted = evaluated(made, made.inputs)[0]
            graph = Graph(made)
            graph.fed(graph.names[0], x)
            for constant, value in zip(graph.names[1:], made.inputs[1:]):
                graph.constant(constant, value)
            graph.node()
            graph.given("out")
            form = "zero points per channel" if per_channel else "one zero point"
            yield graph.network(f"{np.dtype(kind)}, {form}", [wanted])


def data_inputs(case):
    """Places of the inputs that hold values rather than say how to move them."""
    if case.operator == "Concat":
        return range(len(case.inputs))
    return range(2 if case.operator in PAIRS else 1)


def outputs(case):
    return [o for o in case.node.output if o][:1 if case.operator in ("Dropout", "MaxPool") else None]


def moved(case):
    """Codes moved as codes, and as the real numbers that they stand for."""
    if case.operator == "Cast":
        yield from cast(case)
        return
    rng, data = case.seed(), data_inputs(case)
    if case.opset < 11 or any(not isinstance(v, (np.ndarray, np.generic)) for v in case.inputs):
        return
    for kind, scale, zero_point in ((np.int8, 0.05, 3), (np.uint8, 0.1, 120)):
        limits = np.iinfo(kind)
        codes = [rng.integers(limits.min, limits.max + 1, case.inputs[i].shape).astype(kind) for i in data]
        rest = [None if i in data else case.inputs[i] for i in range(len(case.inputs))]
        yield moved_codes(case, codes, rest, kind)
        values = [real(codes[i], scale, zero_point) if i in data else v for i, v in enumerate(rest)]
        graph = constants(case, values, [i for i in range(len(rest)) if i not in data])
        for i in data:
            graph.real_input(graph.names[i], codes[i], scale, zero_point)
        wanted = []
        graph.node()
        for name, value in zip(outputs(case), evaluated(case, values)):
            if case.operator == "ArgMax":
                graph.given(name)
                wanted.append(value)
            else:
                graph.real_output(name, scale, zero_point, kind)
                wanted.append(coded(value, scale, zero_point, kind))
        yield graph.network(f"real {np.dtype(kind)}", wanted)
        if case.operator in ATTRIBUTES:
            yield attributed(case, graph, wanted, np.dtype(kind))


def constants(case, values, places):
    graph = Graph(case)
    for i in places:
        graph.constant(graph.names[i], values[i])
    return graph


def moved_codes(case, codes, rest, kind):
    """QuantizeLinear of scale 1, then the operator on codes."""
    limits = np.iinfo(kind)
    whole = lambda v: np.clip(np.rint(v), limits.min, limits.max).astype(kind)
    fill = case.operator in ("Pad", "Clip")
    floats = lambda v: fill and v is not None and np.asarray(v).dtype == np.float32
    rest = [whole(v) if floats(v) else v for v in rest]
    graph = Graph(case)
    node = onnx.NodeProto()
    node.CopyFrom(case.node)
    for i, value in enumerate(rest):
        if value is not None:
            graph.constant(graph.names[i], value)
            continue
        name = graph.names[i]
        graph.fed(name, codes[i].astype(np.float32))
        graph.feeds[-1] = (name, codes[i])
        graph.quantizer("QuantizeLinear", name, name + "_codes", 1, 0, kind)
        node.input[list(node.input).index(name)] = name + "_codes"
    graph.node(node)
    number = lambda v: v.astype(np.float32) if fill and np.asarray(v).dtype == kind else v
    values = [codes[i].astype(np.float32) if v is None else number(v) for i, v in enumerate(rest)]
    found = evaluated(case, values)
    for name in outputs(case):
        graph.given(name)
    wanted = [v if case.operator == "ArgMax" else coded(v, 1, 0, kind) for v in found[:len(outputs(case))]]
    return graph.network(f"codes {np.dtype(kind)}", wanted)


def attributed(case, graph, wanted, kind):
    """As in an older operator set: the list of input 1 as an attribute."""
    opset, name = ATTRIBUTES[case.operator]
    node = onnx.NodeProto()
    node.CopyFrom(case.node)
    listed = len(case.inputs) > 1 and case.inputs[1].size
    if len(node.input) > 1:
        graph.constants = [c for c in graph.constants if c.name != node.input[1]]
        del node.input[1:]
    if listed:
        node.attribute.append(helper.make_attribute(name, [int(v) for v in case.inputs[1]]))
    kept = [a for a in node.attribute if a.name != "num_outputs"]
    del node.attribute[:]
    node.attribute.extend(kept)
    graph.nodes = [node if n is case.node else n for n in graph.nodes]
    return graph.network(f"real {kind}, operator set {opset}", wanted, opset=opset)


def cast(case):
    """Codes of fewer bits read as codes of 8."""
    kinds = {TensorProto.UINT4, TensorProto.INT4, TensorProto.UINT2, TensorProto.INT2}
    if not isinstance(case.inputs[0], TensorProto) or case.inputs[0].data_type not in kinds:
        return
    to = next(a.i for a in case.node.attribute if a.name == "to")
    if to not in CODES.values():
        return
    graph = Graph(case)
    codes = array(case.inputs[0])
    graph.fed(graph.names[0], codes, case.inputs[0].data_type)
    graph.node()
    name = case.node.output[0]
    graph.quantizer("DequantizeLinear", name, name + "_real", 1, 0, codes.dtype)
    graph.real_output(name + "_real", 1, 0, codes.dtype)
    yield graph.network("codes", [codes])


def folded(case):
    """A constant, or a shape, as an addend."""
    value = case.outputs[0].astype(np.float32)
    if value.ndim == 0:
        value = value.reshape(1)
    graph = Graph(case)
    if case.operator == "ConstantOfShape":
        graph.constant(graph.names[0], case.inputs[0])
    elif case.inputs:
        graph.real_input(graph.names[0], np.zeros(case.inputs[0].shape, np.int8), 1, 0)
    graph.node()
    scale, zero_point = fitted(value, np.int8)
    name = case.node.output[0]
    graph.nodes.append(helper.make_node("Cast", [name], ["real"], to=TensorProto.FLOAT))
    graph.quantizer("QuantizeLinear", "real", "folded", scale, zero_point, np.int8)
    graph.quantizer("DequantizeLinear", "folded", "addend", scale, zero_point, np.int8)
    graph.real_input("zero", np.zeros(value.shape, np.int8), 1, 0)
    graph.nodes.append(helper.make_node("Add", ["zero", "addend"], ["sum"]))
    graph.real_output("sum", scale, zero_point, np.int8)
    yield graph.network("folded", [coded(value, scale, zero_point, np.int8)])


def reals(case):
    """The operator between DequantizeLinear and QuantizeLinear."""
    kinds = [np.int8, np.uint8]
    if any(getattr(v, "dtype", None) not in (np.float32, np.int64) for v in case.inputs):
        return
    for kind in kinds:
        if case.operator in WEIGHTED:
            for per_channel in (False, True):
                yield weighted(case, kind, per_channel)
            if case.operator != "Gemm" and case.inputs[0].ndim < 5:
                yield from integer_forms(case, kind)
            continue
        forms = [(), (1,), (0,)] if case.operator in PAIRS else [(1,)] if case.operator == "PRelu" else [()]
        for fixed in forms:
            graph, wanted = unweighted(case, kind, fixed)
            form = f"real {np.dtype(kind)}" + (f", input {fixed[0]} constant" if fixed else "")
            yield graph.network(form, wanted)
            if case.operator in ATTRIBUTES:
                yield attributed(case, graph, wanted, np.dtype(kind))


def unweighted(case, kind, fixed):
    graph, values = Graph(case), list(case.inputs)
    data = [i for i in data_inputs(case)] + [i for i in fixed if i not in data_inputs(case)]
    for i, value in enumerate(case.inputs):
        name = graph.names[i]
        if i not in data:
            graph.constant(name, value)
            continue
        scale, zero_point = fitted(value, kind)
        codes = coded(value, scale, zero_point, kind)
        values[i] = real(codes, scale, zero_point)
        if i in fixed:
            graph.constant(name + "_codes", codes)
            graph.quantizer("DequantizeLinear", name + "_codes", name, scale, zero_point, kind)
        else:
            graph.real_input(name, codes, scale, zero_point)
    graph.node()
    value = evaluated(case, values)[0]
    scale, zero_point = (np.float32(1 / 256), np.iinfo(kind).min) if case.operator == "Softmax" else fitted(value, kind)
    graph.real_output(case.node.output[0], scale, zero_point, kind)
    return graph, [coded(value, scale, zero_point, kind)]


def weighted(case, kind, per_channel):
    """Constant weights with one scale, or one per output channel, and a bias in steps of the accumulator."""
    graph, values = Graph(case), list(case.inputs)
    scale, zero_point = fitted(values[0], kind)
    codes = coded(values[0], scale, zero_point, kind)
    values[0] = real(codes, scale, zero_point)
    graph.real_input(graph.names[0], codes, scale, zero_point)
    weights = values[1]
    transposed = any(a.name == "transB" and a.i for a in case.node.attribute)
    axis = 0 if transposed else min(WEIGHTED[case.operator], weights.ndim - 1)
    axis = weights.ndim - 1 if case.operator == "MatMul" else axis
    others = tuple(a for a in range(weights.ndim) if a != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True) if per_channel else np.abs(weights).max(keepdims=True)
    steps = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    whole = np.clip(np.rint(weights / steps), -128, 127).astype(np.int8)
    values[1] = (whole * steps).astype(np.float32)
    name = graph.names[1]
    graph.constant(name + "_codes", whole)
    list_of = steps.reshape(-1) if per_channel else steps.reshape(())
    graph.quantizer("DequantizeLinear", name + "_codes", name, list_of, np.zeros_like(list_of, np.int8), np.int8,
                    axis=axis)
    if len(values) > 2 and case.operator == "Conv":
        step = (np.float32(scale) * steps.reshape(-1)).astype(np.float32)
        bias = np.rint(values[2] / step).astype(np.int32)
        values[2] = (bias * step).astype(np.float32)
        name = graph.names[2]
        graph.constant(name + "_codes", bias)
        bias_scale = step if per_channel else step.reshape(())
        graph.quantizer("DequantizeLinear", name + "_codes", name, bias_scale, np.zeros_like(bias_scale, np.int32),
                        np.int32, axis=0)
    elif len(values) > 2:
        graph.constant(graph.names[2], values[2])
    graph.node()
    value = evaluated(case, values)[0]
    scale, zero_point = fitted(value, kind)
    graph.real_output(case.node.output[0], scale, zero_point, kind)
    form = f"real {np.dtype(kind)}, {'scales per channel' if per_channel else 'one scale'}"
    return graph.network(form, [coded(value, scale, zero_point, kind)])
