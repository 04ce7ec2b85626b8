"""One runtime with one network in a process of its own, driven line by line by compare.py.

usage: worker.py RUNTIME NETWORK THREADS INPUT

INPUT is a file of little-endian float32 in -1..1, of which the first are the input, channels last; an integer input
gets the codes that divide -1..1 evenly.  One line of JSON answers the start ({"ok", "load_ns", "first_ns", "base_kb",
"peak_kb"} or {"error"}) and every line on standard input:

    run SECONDS   infers until the time is over, at least once: {"ns": [...], "peak_kb"}
    output        one more inference: {"output": [...]}, the first values of the first output, codes where it has such

A time goes from the caller's buffer of the network's own input type to the runtime's buffer of the output or a copy of
it.  `examples/worker.rs` speaks the same for Dyadic.
"""
from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

VALUES = 1000  # of an output


def memory(field: str) -> int:
    """Kilobytes: VmRSS now, VmHWM at most so far."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


def picture(path: str, shape: tuple[int, ...], kind: type) -> np.ndarray:
    """The input.  Those of integers are TFLite's, channels last; those of floats are ONNX's, channels first."""
    values = np.fromfile(path, "<f4", count=int(np.prod(shape)))
    if np.issubdtype(kind, np.integer):
        return (np.round((values + 1) * 127.5) + np.iinfo(kind).min).astype(kind).reshape(shape)
    batch, channels, height, width = shape
    return np.ascontiguousarray(values.reshape(batch, height, width, channels).transpose(0, 3, 1, 2))


class LiteRT:
    """LiteRT; its default delegate is XNNPACK."""

    def __init__(self) -> None:
        from ai_edge_litert import interpreter
        self.module = interpreter

    def load(self, path: str, threads: int) -> None:
        self.net = self.module.Interpreter(model_path=path, num_threads=threads)
        self.net.allocate_tensors()

    def prepare(self, path: str) -> None:
        start, end = self.net.get_input_details()[0], self.net.get_output_details()[0]
        self.start, self.end = start["index"], end["index"]
        self.input = picture(path, tuple(start["shape"]), start["dtype"])

    def infer(self) -> np.ndarray:
        self.net.set_tensor(self.start, self.input)
        self.net.invoke()
        return self.net.get_tensor(self.end)


class OnnxRuntime:
    def __init__(self) -> None:
        import onnxruntime
        self.module = onnxruntime

    def load(self, path: str, threads: int) -> None:
        options = self.module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.net = self.module.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def prepare(self, path: str) -> None:
        into = self.net.get_inputs()[0]
        self.feed = {into.name: picture(path, tuple(into.shape), np.float32)}

    def infer(self) -> np.ndarray:
        return self.net.run(None, self.feed)[0]


class OpenVino:
    def __init__(self) -> None:
        import openvino
        self.module, self.core = openvino, openvino.Core()
        self.core.get_versions("CPU")  # the plugin is part of the program, not of the network

    def load(self, path: str, threads: int) -> None:
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                   "INFERENCE_PRECISION_HINT": "f32"}
        model = self.core.read_model(path)
        if model.input(0).partial_shape.is_dynamic:
            model.reshape([d.get_length() if d.is_static else 1 for d in model.input(0).partial_shape])
        self.net = self.core.compile_model(model, "CPU", options)

    def prepare(self, path: str) -> None:
        into = self.net.input(0)
        self.input = picture(path, tuple(into.shape), into.element_type.to_dtype())
        self.request = self.net.create_infer_request()
        self.request.set_input_tensor(self.module.Tensor(self.input, shared_memory=True))

    def infer(self) -> np.ndarray:
        self.request.infer()
        return self.request.get_output_tensor(0).data


RUNTIMES = {"litert": LiteRT, "onnxruntime": OnnxRuntime, "openvino": OpenVino}


def start(arguments: list[str]) -> tuple[object, dict]:
    """Loads and infers once, so that a runtime's choices at first use are behind it."""
    name, network, threads, path = arguments
    runtime = RUNTIMES[name]()
    base, before = memory("VmRSS:"), time.perf_counter_ns()
    runtime.load(network, int(threads))
    load = time.perf_counter_ns() - before
    runtime.prepare(path)
    before = time.perf_counter_ns()
    runtime.infer()
    first = time.perf_counter_ns() - before
    return runtime, {"ok": True, "load_ns": load, "first_ns": first, "base_kb": base, "peak_kb": memory("VmHWM:")}


def burst(runtime, seconds: float) -> dict:
    times: list[int] = []
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while not times or time.perf_counter_ns() < end:
        before = time.perf_counter_ns()
        runtime.infer()
        times.append(time.perf_counter_ns() - before)
    return {"ns": times, "peak_kb": memory("VmHWM:")}


def main() -> None:
    # Libraries print to standard output: the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def say(answer: dict) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        runtime, answer = start(sys.argv[1:])
    except Exception as error:  # Whatever a runtime objects to is the result.
        say({"error": f"{type(error).__name__}: {error}"[:300]})
        return
    say(answer)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "run":
            say(burst(runtime, float(rest[0])))
        else:
            say({"output": [float(v) for v in np.asarray(runtime.infer()).ravel()[:VALUES]]})


if __name__ == "__main__":
    main()
