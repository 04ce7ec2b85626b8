"""Runs a TFLite file operator by operator with the rules of rules.py and rules_image.py."""
import sys

import numpy as np

import rules
import rules_image
from network import load


class NotCovered(Exception):
    """The operator or its types have no rule here."""


def strided_slice(op, x, begin, end, strides):
    o, index, dropped = op.options, [], []
    for d, size in enumerate(x.shape[: len(begin)]):
        step, bit = int(strides[d]), 1 << d
        b, e = int(begin[d]), int(end[d])
        if (o.shrinkAxisMask or 0) & bit:
            b = b + size if b < 0 else b
            index.append(slice(b, b + 1, 1))
            dropped.append(d)
            continue
        if getattr(o, "offset", False):
            e = b + e
        index.append(slice(None if (o.beginMask or 0) & bit else b, None if (o.endMask or 0) & bit else e, step))
    return np.squeeze(x[tuple(index)], axis=tuple(dropped))


def move(op, tensors, x, args):
    """Operators that only move codes; None if `op` is not one of them."""
    o, name, ty = op.options, op.name, tensors[op.outputs[0]]
    if name == "RESHAPE":
        return [x.reshape(ty.shape)]
    if name == "TRANSPOSE":
        return [np.transpose(x, args[1])]
    if name in ("PAD", "PADV2"):
        fill = args[2].reshape(-1)[0] if name == "PADV2" else ty.zero_point
        return [np.pad(x, [tuple(map(int, p)) for p in args[1]], constant_values=fill)]
    if name == "SPLIT":
        return np.split(args[1], len(op.outputs), int(args[0].reshape(-1)[0]))
    if name == "SPLIT_V":
        sizes, axis = args[1].astype(int).reshape(-1), int(args[2].reshape(-1)[0])
        sizes = np.where(sizes < 0, x.shape[axis] - sizes[sizes >= 0].sum(), sizes)
        return np.split(x, np.cumsum(sizes)[:-1], axis)
    if name == "SLICE":
        sizes = [x.shape[d] - int(b) if s < 0 else int(s) for d, (b, s) in enumerate(zip(args[1], args[2]))]
        return [x[tuple(slice(int(b), int(b) + s) for b, s in zip(args[1], sizes))]]
    if name == "STRIDED_SLICE":
        return [strided_slice(op, x, *args[1:4])]
    if name == "PACK":
        return [np.stack(args, o.axis or 0)]
    if name == "UNPACK":
        axis = o.axis or 0
        return [np.take(x, i, axis) for i in range(len(op.outputs))]
    if name == "TILE":
        return [np.tile(x, args[1])]
    return None


def apply(op, tensors, args):
    """Outputs of one operator; args are its input arrays (None where absent)."""
    o, name, ty = op.options, op.name, tensors[op.outputs[0]]
    tx, x = tensors[op.inputs[0]], args[0]
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return [rules.conv(op, tensors, x, args[1], args[2] if len(args) > 2 else None, name != "CONV_2D")]
    if name == "FULLY_CONNECTED":
        return [rules.fully_connected(op, tensors, x, args[1], args[2] if len(args) > 2 else None)]
    if name in ("ADD", "SUB"):
        return [rules.add_sub(op, tensors, x, args[1], 1 if name == "ADD" else -1)]
    if name == "MUL":
        return [rules.mul(op, tensors, x, args[1])]
    if name == "MEAN":
        return [rules.mean(x, args[1].reshape(-1).tolist(), tx, ty, o.keepDims)]
    if name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return [rules.pool(op, tensors, x, name == "AVERAGE_POOL_2D")]
    if name == "QUANTIZE":
        return [rules.quantize(x, tx, ty)]
    if name in ("RELU", "RELU6", "RELU_N1_TO_1"):
        return [rules.relu(x, tx, ty, -1 if "N1" in name else 0, {"RELU": None, "RELU6": 6, "RELU_N1_TO_1": 1}[name])]
    if name == "LEAKY_RELU":
        return [rules.leaky_relu(x, tx, ty, o.alpha)]
    if name == "PRELU":
        return [rules.prelu(x, args[1], tx, tensors[op.inputs[1]], ty)]
    if name in ("LOGISTIC", "TANH"):
        function = rules.logistic32 if name == "LOGISTIC" else rules.tanh32
        return [rules.lookup(x, rules.float_table(tx, ty, function), tx.dtype)]
    if name == "HARD_SWISH":
        return [rules.hard_swish(x, tx, ty)]
    if name == "CONCATENATION":
        if tx.dtype == "uint8":
            args = [rules.concatenate_u8(a, tensors[i], ty) for a, i in zip(args, op.inputs)]
        return [np.concatenate(args, o.axis or 0)]
    if name == "SOFTMAX":
        return [rules_image.softmax(x, tx, ty, o.beta)]
    if name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        kind = rules_image.nearest if "NEAREST" in name else {"int8": rules_image.bilinear_s8, "uint8": rules_image.bilinear_u8}[tx.dtype]
        return [kind(x, int(args[1][0]), int(args[1][1]), o.alignCorners, o.halfPixelCenters)]
    if name == "ARG_MAX":
        return [np.argmax(x, int(args[1].reshape(-1)[0])).astype(ty.dtype)]
    moved = move(op, tensors, x, args)
    if moved is None:
        raise NotCovered(name)
    return moved


def evaluate(raw, inputs, keep=None):
    """Graph outputs for one list of inputs; `keep` (a dict) receives every tensor by number."""
    tensors, operators, graph_inputs, graph_outputs = load(raw)
    values = dict(zip(graph_inputs, inputs)) if keep is None else keep
    values.update(zip(graph_inputs, inputs))
    for op in operators:
        args = [None if i < 0 else values[i] if i in values else tensors[i].data for i in op.inputs]
        if any(a is None and i >= 0 for a, i in zip(args, op.inputs)):
            raise NotCovered(f"{op.name}: an input has no integer data")
        for i, out in zip(op.outputs, apply(op, tensors, args)):
            values[i] = out
    return [values[i] if i in values else tensors[i].data for i in graph_outputs]


if __name__ == "__main__":
    print(evaluate(open(sys.argv[1], "rb").read(), [np.load(f) for f in sys.argv[2:]]))
