"""Compares a QONNX network with QONNX's own execution: top-1 of every sample, and every layer on the same input.

usage: qonnx_check.py DYADIC MODEL.onnx SAMPLES.npy [--labels Y.npy] [--images N] [--isa NAME]

A *layer* is what lies between quantizers of activations (Quant nodes whose input is computed): it is cut out with the
quantizers of its inputs, compiled with DYADIC, and fed the values that QONNX had there, which those quantizers give back
as they are.  Its codes may be 1 apart.  Exit code 1 when a layer is further apart, is refused, or a top-1 differs.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx


def run(command, compiled, inputs, folder, isa):
    """The first output on inputs given by name."""
    output = os.path.join(folder, "out")
    call = [command, "run", compiled, "--output-dir", output] + (["--isa", isa] if isa else [])
    for number, (name, value) in enumerate(inputs):
        source = os.path.join(folder, f"in{number}.npy")
        np.save(source, value.astype(np.float32))
        call += ["--input", f"{name}={source}"]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip()
    return np.load(os.path.join(output, "0.npy"))


def compiled(command, model, folder):
    source, target = os.path.join(folder, "m.onnx"), os.path.join(folder, "m.dyad")
    onnx.save(model, source)
    done = subprocess.run([command, "compile", source, "-o", target], capture_output=True, text=True)
    return target, done.stderr.strip() if done.returncode else None


def computed_quantizers(graph, constants):
    """Quant nodes of activations."""
    known, found = {i.name for i in graph.input} - set(constants), []
    for node in graph.node:
        if any(i in known for i in node.input):
            known.update(node.output)
            if node.op_type in ("Quant", "IntQuant"):
                found.append(node)
    return found


def layer(model, last, quantizers, shapes):
    """The nodes up to `last` from the quantizers before it, and the values that those read."""
    graph = model.graph
    maker = {o: n for n in graph.node for o in n.output}
    ends = {q.output[0] for q in quantizers}
    nodes, feeds, todo, seen = [], [], [last], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        nodes.append(node)
        border = node is not last and node.output[0] in ends
        for position, name in enumerate(node.input):
            if border and position == 0:
                # Two quantizers of one value give the same of it.
                if name not in [f[0] for f in feeds]:
                    feeds.append((name, node.output[0]))
            elif name in maker:
                todo.append(maker[name])
    order = {id(n): i for i, n in enumerate(graph.node)}
    nodes.sort(key=lambda n: order[id(n)])
    used = {i for n in nodes for i in n.input}
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name])
    part = helper.make_graph(
        nodes, "layer", [value(name) for name, _ in feeds], [value(last.output[0])],
        [t for t in graph.initializer if t.name in used])
    cut = helper.make_model(part, opset_imports=list(model.opset_import))
    cut.ir_version = model.ir_version
    return cut, feeds


def check_layers(arguments, wrapper, samples):
    model = wrapper.model
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    quantizers = computed_quantizers(model.graph, constants)
    name = [i.name for i in model.graph.input if i.name not in constants][0]
    worst, refused, differing, total = 0, 0, 0, 0
    for sample in samples[: arguments.images]:
        context = execute_onnx(wrapper, {name: sample[None]}, return_full_exec_context=True)
        shapes = {k: list(v.shape) for k, v in context.items() if hasattr(v, "shape")}
        for node in quantizers:
            cut, feeds = layer(model, node, quantizers, shapes)
            if not feeds:
                # The first quantizer reads the network's input.
                continue
            with tempfile.TemporaryDirectory() as folder:
                target, problem = compiled(arguments.dyadic, cut, folder)
                found = problem or run(
                    arguments.dyadic, target, [(n, context[o]) for n, o in feeds], folder, arguments.isa)
            if isinstance(found, str):
                refused += 1
                print(f"{node.name}: {found}")
                continue
            scale, zero = constants[node.input[1]], constants[node.input[2]]
            wanted = np.rint(context[node.output[0]] / scale + zero)
            apart = np.abs(found.reshape(wanted.shape) - wanted)
            worst = max(worst, int(apart.max()))
            differing += int(np.count_nonzero(apart))
            total += apart.size
    print(f"layers: at most {worst} apart, {differing} of {total} codes differ, {refused} refused")
    return worst <= 1 and refused == 0


def check_whole(arguments, wrapper, samples):
    name = [i.name for i in wrapper.model.graph.input][0]
    output = wrapper.model.graph.output[0].name
    with tempfile.TemporaryDirectory() as folder:
        target, problem = compiled(arguments.dyadic, wrapper.model, folder)
        found = problem or run(arguments.dyadic, target, [(name, samples)], folder, arguments.isa)
    if isinstance(found, str):
        print(found)
        return False
    found = found.reshape(len(samples), -1).argmax(1)
    wanted = np.array([execute_onnx(wrapper, {name: s[None]})[output].reshape(-1).argmax() for s in samples])
    print(f"top-1 as QONNX on {np.count_nonzero(found == wanted)} of {len(samples)} samples")
    if arguments.labels:
        labels = np.load(arguments.labels)
        print(f"accuracy {np.mean(found == labels):.4f}, QONNX {np.mean(wanted == labels):.4f}")
    return bool(np.all(found == wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dyadic")
    parser.add_argument("model")
    parser.add_argument("samples")
    parser.add_argument("--labels")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--isa")
    arguments = parser.parse_args()
    wrapper, samples = ModelWrapper(arguments.model), np.load(arguments.samples)
    good = check_layers(arguments, wrapper, samples)
    sys.exit(0 if check_whole(arguments, wrapper, samples) and good else 1)


if __name__ == "__main__":
    main()
