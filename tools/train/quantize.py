"""Full INT8 TensorFlow Lite from the trained network, and what the file holds."""

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

ALLOWED = {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def to_int8(model, pictures: np.ndarray) -> bytes:
    """Post-training quantization, per-channel weights, int8 in and out; `pictures` (uint8 NHWC) set the ranges.

    Black and white are added to the pictures, so that the input range is 0..1 exactly: scale 1/255, zero point -128,
    and the input tensor is the picture less 128.
    """
    side = pictures.shape[1]
    signature = tf.TensorSpec((1, side, side, 3), tf.float32)
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
    ends = np.stack([np.zeros_like(pictures[0]), np.full_like(pictures[0], 255)])

    def representative():
        for picture in np.concatenate([ends, pictures]):
            yield [picture[None].astype(np.float32) / np.float32(255)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter.convert()


def interpreter(flat: bytes, reference: bool) -> Interpreter:
    """LiteRT with its reference kernels or its optimized built-in kernels; no delegate in either case."""
    kinds = OpResolverType
    kind = kinds.BUILTIN_REF if reference else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runner = Interpreter(model_content=flat, experimental_op_resolver_type=kind, num_threads=1)
    runner.allocate_tensors()
    return runner


def predict(flat: bytes, x: np.ndarray, reference: bool) -> np.ndarray:
    """int8 scores (pictures, classes) of uint8 pictures."""
    runner = interpreter(flat, reference)
    source, sink = runner.get_input_details()[0], runner.get_output_details()[0]
    scores = np.empty((len(x), sink["shape"][1]), dtype=np.int8)
    for i, picture in enumerate(x):
        runner.set_tensor(source["index"], (picture[None].astype(np.int16) - 128).astype(np.int8))
        runner.invoke()
        scores[i] = runner.get_tensor(sink["index"])[0]
    return scores


def describe(flat: bytes) -> dict:
    """Operators with their counts, multiply-accumulates, bytes, weights and the ends' quantization."""
    runner = interpreter(flat, reference=True)
    tensors = {t["index"]: t for t in runner.get_tensor_details()}
    operators, macs, weights = {}, 0, 0
    for op in runner._get_ops_details():
        name = op["op_name"]
        operators[name] = operators.get(name, 0) + 1
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel = tensors[op["inputs"][1]]["shape"]
            out = tensors[op["outputs"][0]]["shape"]
            weights += int(np.prod(kernel))
            # A weight is used once an output position.
            macs += int(np.prod(kernel)) * (int(out[1] * out[2]) if len(out) == 4 else 1)
    source, sink = runner.get_input_details()[0], runner.get_output_details()[0]
    unexpected = set(operators) - ALLOWED
    if unexpected:
        raise SystemExit(f"operators beyond {sorted(ALLOWED)} in the file: {sorted(unexpected)}")
    if source["quantization"][1] != -128 or source["quantization"][0] != float(np.float32(1 / 255)):
        raise SystemExit(f"input quantization is {source['quantization']}, expected 1/255 and -128")
    return {
        "file_bytes": len(flat),
        "macs": macs,
        "weights": weights,
        "operators": dict(sorted(operators.items())),
        "input": {"shape": source["shape"].tolist(), "type": "int8", "quantization": list(source["quantization"])},
        "output": {"shape": sink["shape"].tolist(), "type": "int8", "quantization": list(sink["quantization"])},
    }
