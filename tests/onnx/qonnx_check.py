"""Compares QONNX networks compiled by Dyadic with QONNX's own execution of them (package qonnx).

usage: qonnx_check.py DYADIC MODEL.onnx ... [--samples N] [--isa NAME] [--same OTHER.onnx]

Samples are read from NAME.npz beside NAME.onnx (or NAME.raw.onnx): arrays x and, if there, labels.
Whole network: the largest output must be the same for every sample.  Layers: what lies between the outputs of Quant,
BipolarQuant and Trunc is cut out as a network of its own, compiled, and fed what QONNX had there; it may be 1 code
apart, since QONNX rounds half to even in float32 and Dyadic half up in integers.  An output without a quantizer is
compared in steps of Dyadic's accumulator.  With --same the first model and OTHER must give the same integers.
Exit code 1 when anything of this does not hold.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

QUANTIZERS = {"Quant", "IntQuant", "BipolarQuant", "Trunc"}
DOMAIN = "qonnx.custom_op.general"


class Network:
    def __init__(self, path):
        self.wrapper = ModelWrapper(path).transform(InferShapes())
        self.model = self.wrapper.model
        graph = self.model.graph
        self.constants = {t.name: t for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(node.attribute[0].t)
                tensor.name = node.output[0]
                self.constants[tensor.name] = tensor
        self.maker = {o: n for n in graph.node for o in n.output}
        self.input = next(i.name for i in graph.input if i.name not in self.constants)
        self.output = graph.output[0].name
        computed = {self.input}
        self.quantizers = []
        for node in graph.node:
            if any(i in computed for i in node.input):
                computed.update(node.output)
                if node.op_type in QUANTIZERS:
                    self.quantizers.append(node)

    def number(self, name):
        return float(numpy_helper.to_array(self.constants[name]).reshape(-1)[0])

    def scale(self, node):
        newer = node.op_type == "Trunc" and len(node.input) == 6
        return self.number(node.input[4 if newer else 1])

    def attributes(self, node):
        return {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def feeder(self, node, name, negative):
        """A Quant that gives the codes of a quantizer to what is fed as real numbers, and its constants."""
        number, bits = 0.0, 2.0
        own = self.attributes(node)
        signed, narrow = own.get("signed", 1), own.get("narrow", 0)
        if node.op_type == "BipolarQuant":
            narrow = 1
        elif node.op_type == "Trunc":
            bits = self.number(node.input[-1])
            signed = own.get("signed", int(negative))
        else:
            number, bits = self.number(node.input[2]), self.number(node.input[3])
        values = [self.scale(node), number, bits]
        constants = [numpy_helper.from_array(np.float32(v), f"{name} {i}") for i, v in enumerate(values)]
        quant = helper.make_node("Quant", [name] + [c.name for c in constants], list(node.output), domain=DOMAIN,
                                 signed=int(signed), narrow=int(narrow), rounding_mode="ROUND")
        return quant, constants

    def layer(self, last, values):
        """The nodes between quantized tensors and the tensor `last`, as a model, with the tensors that it reads."""
        cut = {n.output[0]: n for n in self.quantizers}
        nodes, feeds, todo, seen = [], [], [self.maker[last]], set()
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            nodes.append(node)
            for name in node.input:
                if name in cut:
                    feeds += [name] if name not in feeds else []
                elif name in self.maker:
                    todo.append(self.maker[name])
                elif name == self.input:
                    return None, []
        order = {id(n): i for i, n in enumerate(self.model.graph.node)}
        nodes.sort(key=lambda n: order[id(n)])
        used = {i for n in nodes for i in n.input}
        weights = [t for t in self.model.graph.initializer if t.name in used]
        real = lambda name, of: helper.make_tensor_value_info(name, TensorProto.FLOAT, values[of].shape[1:])
        inputs = []
        for number, feed in enumerate(feeds):
            quant, constants = self.feeder(cut[feed], f"fed {number}", values[feed].min() < 0)
            nodes.insert(0, quant)
            weights += constants
            inputs.append(real(f"fed {number}", feed))
        graph = helper.make_graph(nodes, "layer", inputs, [real(last, last)], weights)
        model = helper.make_model(graph, opset_imports=list(self.model.opset_import))
        model.ir_version = self.model.ir_version
        return model, feeds

    def execute(self, x):
        """Every quantized tensor and the output for each sample, stacked."""
        names = [n.output[0] for n in self.quantizers] + [self.output]
        found = {name: [] for name in names}
        shape = self.wrapper.get_tensor_shape(self.input)
        for sample in x:
            context = execute_onnx(self.wrapper, {self.input: sample.reshape(shape)}, True)
            for name in set(names):
                found[name].append(context[name])
        return {name: np.stack(v) for name, v in found.items()}


class Dyadic:
    def __init__(self, command, isa, folder):
        self.command, self.folder = command, folder
        self.isa = ["--isa", isa] if isa else []

    def call(self, *arguments):
        done = subprocess.run([self.command, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr.strip())
        return done.stdout

    def compile(self, source):
        target = os.path.join(self.folder, "m.dyad")
        self.call("compile", source, "-o", target)
        output = next(line for line in self.call("inspect", target).splitlines() if line.startswith("output"))
        return target, float(re.search(r" scale (\S+)", output).group(1))

    def run(self, compiled, inputs, *options):
        paths = []
        for number, value in enumerate(inputs):
            paths += ["--input", os.path.join(self.folder, f"in{number}.npy")]
            np.save(paths[-1], value)
        self.call("run", compiled, *paths, "--output-dir", self.folder, *options, *self.isa)
        return np.load(os.path.join(self.folder, "0.npy"))


def stacked(values):
    return values.reshape(-1, *values.shape[2:])


def layers(network, dyadic, values):
    targets = [(n.output[0], n) for n in network.quantizers]
    if network.output not in dict(targets):
        targets.append((network.output, None))
    worst, count = 0, 0
    for name, node in targets:
        model, feeds = network.layer(name, values)
        if not feeds:
            continue
        source = os.path.join(dyadic.folder, "layer.onnx")
        onnx.save(model, source)
        compiled, step = dyadic.compile(source)
        found = dyadic.run(compiled, [stacked(values[f]) for f in feeds], "--dequantize")
        wanted = stacked(values[name]).astype(np.float64)
        step = network.scale(node) if node is not None else step
        apart = np.rint(np.abs(found.reshape(wanted.shape) - wanted) / step)
        if node is not None and node.op_type == "BipolarQuant":
            apart /= 2
        count, worst = count + 1, max(worst, int(apart.max()))
        if apart.max():
            print(f"  {name}: {np.count_nonzero(apart)} of {apart.size} differ, at most by {int(apart.max())}")
    print(f"  {count} layers: at most {worst} apart")
    return worst <= 1


def check(path, dyadic, samples):
    name = re.sub(r"(\.\w+)?\.onnx$", "", path)
    data = np.load(name + ".npz")
    x, network = data["x"][:samples], Network(path)
    compiled, _ = dyadic.compile(path)
    found = dyadic.run(compiled, [x])
    values = network.execute(x)
    wanted = values[network.output].reshape(len(x), -1)
    best = found.reshape(len(x), -1).argmax(1)
    same = int((best == wanted.argmax(1)).sum())
    print(f"{path}: same largest output for {same} of {len(x)} samples")
    if "labels" in data:
        labels = data["labels"][:len(x)]
        print(f"  right: {(best == labels).mean():.4f} Dyadic, {(wanted.argmax(1) == labels).mean():.4f} QONNX")
    return layers(network, dyadic, values) and same == len(x)


def identical(path, other, dyadic, samples):
    x = np.load(re.sub(r"(\.\w+)?\.onnx$", "", path) + ".npz")["x"][:samples]
    found = [dyadic.run(dyadic.compile(p)[0], [x]) for p in (path, other)]
    same = found[0].dtype == found[1].dtype and np.array_equal(*found)
    print(f"{path} and {other}: {'the same' if same else 'different'} integers for {len(x)} samples")
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dyadic")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--isa")
    parser.add_argument("--same")
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        dyadic = Dyadic(arguments.dyadic, arguments.isa, folder)
        if arguments.same:
            good = identical(arguments.models[0], arguments.same, dyadic, arguments.samples)
        else:
            for model in arguments.models:
                good = check(model, dyadic, arguments.samples) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
