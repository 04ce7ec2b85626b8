"""Compares a quantized ONNX network with ONNX Runtime: every layer on the same input, and the whole network.

usage: layers.py DYADIC MODEL.onnx [--images N] [--whole N] [--seed S] [--input F.npy] [--isa NAME]

ONNX Runtime runs the network with its optimizations off, so that every QuantizeLinear is computed as the standard
says, and gives the output of each as a tensor of codes.  A *layer* is what lies between such tensors: it is cut out as
a network of its own, compiled with DYADIC, and fed the codes that ONNX Runtime had there.  Its output may be 1 apart,
since ONNX rounds half to even in float32 and Dyadic half up in integers.  With --whole N the whole network runs on N
seeded images and the largest output is compared.  Exit code 1 when a layer is further apart than 1.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TYPES = {TensorProto.UINT8: np.uint8, TensorProto.INT8: np.int8, TensorProto.INT16: np.int16}


class Network:
    """An ONNX graph with its producers by tensor."""

    def __init__(self, path):
        self.model = onnx.shape_inference.infer_shapes(onnx.load(path))
        graph = self.model.graph
        self.constants = {t.name: t for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(node.attribute[0].t)
                tensor.name = node.output[0]
                self.constants[node.output[0]] = tensor
        self.maker = {o: n for n in graph.node for o in n.output}
        self.inputs = [i for i in graph.input if i.name not in self.constants]
        self.types = {v.name: v for v in list(graph.value_info) + list(graph.input) + list(graph.output)}
        self.opsets = self.model.opset_import

    def code_type(self, node):
        """Type of the codes of a QuantizeLinear."""
        if len(node.input) > 2 and node.input[2] in self.constants:
            return self.constants[node.input[2]].data_type
        return TensorProto.UINT8

    def quantizers(self):
        """QuantizeLinear nodes of computed tensors, in order."""
        computed = {i.name for i in self.inputs}
        found = []
        for node in self.model.graph.node:
            if any(i in computed for i in node.input):
                computed.update(node.output)
                if node.op_type == "QuantizeLinear":
                    found.append(node)
        return found

    def scale(self, node):
        return float(numpy_helper.to_array(self.constants[node.input[1]]).reshape(-1)[0])

    def zero_point(self, node):
        if len(node.input) < 3:
            return 0
        return int(numpy_helper.to_array(self.constants[node.input[2]]).reshape(-1)[0])

    def layer(self, last, codes, shapes):
        """The nodes between tensors of codes and one QuantizeLinear, as a model, with the names of its inputs."""
        nodes, feeds, todo, seen = [], [], [last], set()
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            nodes.append(node)
            for name in node.input:
                if name in codes and name != last.output[0]:
                    if name not in feeds:
                        feeds.append(name)
                elif name in self.maker:
                    todo.append(self.maker[name])
                elif name and name not in self.constants:
                    return None, []
        order = {id(n): i for i, n in enumerate(self.model.graph.node)}
        nodes.sort(key=lambda n: order[id(n)])
        used = {i for n in nodes for i in n.input}
        weights = [t for t in self.model.graph.initializer if t.name in used]
        value = lambda name: helper.make_tensor_value_info(name, codes[name], shapes[name])
        graph = helper.make_graph(nodes, "layer", [value(f) for f in feeds], [value(last.output[0])], weights)
        model = helper.make_model(graph, opset_imports=list(self.opsets))
        model.ir_version = self.model.ir_version
        return model, feeds


def session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def seeded(network, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        feed = {}
        for i in network.inputs:
            shape = [d.dim_value or 1 for d in i.type.tensor_type.shape.dim]
            kind = i.type.tensor_type.elem_type
            if kind == TensorProto.FLOAT:
                feed[i.name] = rng.uniform(-1, 1, shape).astype(np.float32)
            else:
                limits = np.iinfo(TYPES[kind])
                feed[i.name] = rng.integers(limits.min, limits.max + 1, shape).astype(TYPES[kind])
        yield feed


def dyadic(command, model, inputs, folder, isa):
    """Outputs of a compiled model on inputs given by name."""
    compiled = os.path.join(folder, "m.dyad")
    call = [command, "run", compiled, "--output-dir", folder]
    if model is not None:
        source = os.path.join(folder, "m.onnx")
        onnx.save(model, source)
        made = subprocess.run([command, "compile", source, "-o", compiled], capture_output=True, text=True)
        if made.returncode:
            return made.stderr.strip()
    for number, (name, value) in enumerate(inputs):
        path = os.path.join(folder, f"in{number}.npy")
        np.save(path, value)
        call += ["--input", f"{name}={path}" if name else path]
    ran = subprocess.run(call + (["--isa", isa] if isa else []), capture_output=True, text=True)
    if ran.returncode:
        return ran.stderr.strip()
    return np.load(os.path.join(folder, "0.npy"))


def each_layer(network, arguments):
    quantizers = network.quantizers()
    codes = {n.output[0]: network.code_type(n) for n in quantizers}
    codes.update({i.name: i.type.tensor_type.elem_type for i in network.inputs
                  if i.type.tensor_type.elem_type in TYPES})
    exposed = onnx.ModelProto()
    exposed.CopyFrom(network.model)
    del exposed.graph.output[:]
    for node in quantizers:
        exposed.graph.output.append(helper.make_tensor_value_info(node.output[0], codes[node.output[0]], None))
    runner = session(exposed)
    worst, refused = 0, 0
    for number, feed in enumerate(seeded(network, arguments.images, arguments.seed)):
        values = dict(zip([o.name for o in runner.get_outputs()], runner.run(None, feed)))
        values.update({k: v for k, v in feed.items() if k in codes})
        shapes = {k: list(v.shape) for k, v in values.items()}
        for node in quantizers:
            model, feeds = network.layer(node, codes, shapes)
            if not feeds:
                continue
            with tempfile.TemporaryDirectory() as folder:
                inputs = [(name, values[name]) for name in feeds]
                found = dyadic(arguments.dyadic, model, inputs, folder, arguments.isa)
            if isinstance(found, str):
                refused += 1
                print(f"{node.output[0]}: {found}")
                continue
            wanted = values[node.output[0]]
            apart = np.abs(found.astype(np.int64).reshape(wanted.shape) - wanted.astype(np.int64))
            worst = max(worst, int(apart.max()))
            if apart.max():
                print(f"image {number} {node.output[0]}: {np.count_nonzero(apart)} of {apart.size} differ, "
                      f"at most by {apart.max()}")
    print(f"{len(quantizers)} layers, {arguments.images} images: at most {worst} apart, {refused} refused")
    return worst <= 1 and refused == 0


def whole(network, arguments):
    runner = session(network.model)
    same = 0
    quantizers = {n.input[0]: n for n in network.quantizers()}
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [arguments.dyadic, "compile", arguments.model, "-o", os.path.join(folder, "m.dyad")],
            capture_output=True, text=True)
        print(made.stdout.strip() or made.stderr.strip())
        if made.returncode:
            return False
        for feed in seeded(network, arguments.whole, arguments.seed + 1):
            wanted = runner.run(None, feed)[0]
            inputs = []
            for name, value in feed.items():
                if value.dtype == np.float32:
                    node = quantizers[name]
                    limits = np.iinfo(TYPES[network.code_type(node)])
                    code = np.rint(value / np.float32(network.scale(node))) + network.zero_point(node)
                    value = np.clip(code, limits.min, limits.max).astype(limits.dtype)
                inputs.append((name, value))
            found = dyadic(arguments.dyadic, None, inputs, folder, arguments.isa)
            if isinstance(found, str):
                print(found)
                return False
            same += int(found.reshape(-1).argmax() == wanted.reshape(-1).argmax())
    print(f"same largest output on {same} of {arguments.whole} images")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dyadic")
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--whole", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isa")
    arguments = parser.parse_args()
    network = Network(arguments.model)
    good = each_layer(network, arguments) if arguments.images else True
    if arguments.whole:
        good = whole(network, arguments) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
