"""Runs Dyadic and other runtimes on the same networks, in turn, and writes results.md and results.json.

usage: compare.py DIR --binaries FOLDER [--rounds 10] [--seconds 0.5] [--threads 1,2]
                  [--networks REGEX] [--runtimes REGEX]

For every network and number of threads each runtime has a process of its own, pinned to as many cores.  They take
turns in bursts of SECONDS, in an order that changes each round, so that a busy or throttled moment of the machine falls
on all of them.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import report

HERE = Path(__file__).resolve().parent

# A burst is quiet when its threads, ready to run, waited less than this share of its time for a core.
QUIET = 0.01
# Quiet bursts of every runtime that are enough to leave the others out.
ENOUGH = 3
# As many as the largest input has, or more.
VALUES = 1 << 20


@dataclass(frozen=True)
class Runtime:
    """A column: who runs which form of a network, with which environment."""

    name: str
    worker: str  # of worker.py, or dyadic
    suffixes: tuple[str, ...]  # the first form that exists is taken
    environment: dict[str, str] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()  # runs only where the CPU has one of these features

    def file(self, networks: Path, network: str) -> Path | None:
        files = (networks / f"{network}.{suffix}" for suffix in self.suffixes)
        return next((file for file in files if file.exists()), None)


AVX2 = "avx512_vnni", "avx_vnni"
RUNTIMES = [
    Runtime("Dyadic", "dyadic", ("dyad",)),
    Runtime("Dyadic, AVX-VNNI", "dyadic", ("dyad",), {"DYADIC_ISA": "avxvnni"}, ("avx512_vnni",)),
    Runtime("Dyadic, AVX2", "dyadic", ("dyad",), {"DYADIC_ISA": "avx2"}, AVX2),
    Runtime("Dyadic of ONNX", "dyadic", ("onnx.dyad",)),
    Runtime("LiteRT", "litert", ("tflite",)),
    Runtime("ONNX Runtime u8", "onnxruntime", ("u8.onnx",)),
    Runtime("ONNX Runtime s8", "onnxruntime", ("s8.onnx",)),
    Runtime("OpenVINO", "openvino", ("u8.onnx", "tflite")),
    Runtime("OpenVINO, AVX-512 VNNI", "openvino", ("u8.onnx", "tflite"),
            {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, ("amx_int8",)),
    Runtime("OpenVINO, AVX-VNNI", "openvino", ("u8.onnx", "tflite"), {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"},
            ("avx512_vnni",)),
    Runtime("OpenVINO, AVX2", "openvino", ("u8.onnx", "tflite"), {"ONEDNN_MAX_CPU_ISA": "AVX2"}, AVX2),
    Runtime("ONNX Runtime float", "onnxruntime", ("float.onnx",)),
]


def waited(process: int) -> int:
    """Nanoseconds that all threads of a process were ready to run and had no core."""
    total = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        try:
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
        except OSError:  # It ended, or the kernel keeps no such count.
            pass
    return total


class Worker:
    """The process of one runtime with one network."""

    def __init__(self, runtime: Runtime, command: list[str], cores: set[int]) -> None:
        self.runtime, self.quiet, self.disturbed = runtime, [], []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(len(cores)), **runtime.environment},
            preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.start = self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"ended with {self.process.wait()}"}

    def ask(self, line: str) -> dict:
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"error": "ended"}
        return self.answer()

    def burst(self, seconds: float) -> None:
        before = waited(self.process.pid)
        answer = self.ask(f"run {seconds}")
        if "ns" not in answer:
            self.start = answer
            return
        share = (waited(self.process.pid) - before) / sum(answer["ns"])
        (self.quiet if share < QUIET else self.disturbed).append(answer["ns"])
        self.start["peak_kb"] = answer["peak_kb"]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def row(self, quiet: bool) -> dict:
        """What was measured, in all bursts or only in quiet ones.  Times in milliseconds, memory in MiB."""
        bursts = self.quiet if quiet else self.quiet + self.disturbed
        times = sorted(ns / 1e6 for burst in bursts for ns in burst)
        rank = lambda share: times[min(len(times) - 1, int(share * len(times)))]
        start = self.start
        return {
            "runs": len(times), "quiet": quiet, "median_ms": rank(0.5), "p10_ms": rank(0.1), "p90_ms": rank(0.9),
            "load_ms": start["load_ns"] / 1e6, "first_ms": start["first_ns"] / 1e6,
            "peak_mib": start["peak_kb"] / 1024, "base_mib": start["base_kb"] / 1024,
        }


def correlation(a: list[float], b: list[float]) -> float | None:
    """Of two outputs, whatever their scale and zero point; `None` where there is none."""
    if a and a == b:
        return 1.0
    if not a or len(a) != len(b) or not np.ptp(a) or not np.ptp(b):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def rounds(workers: list[Worker], arguments: argparse.Namespace) -> None:
    for number in range(arguments.rounds):
        for worker in random.Random(number).sample(workers, len(workers)):
            if worker.start.get("ok"):
                worker.burst(arguments.seconds)


def rows(workers: list[Worker]) -> list[dict]:
    """One per worker.  `agrees` is the correlation of its output with the float network's, or else with LiteRT's."""
    running = [w for w in workers if w.start.get("ok")]
    outputs = {w.runtime.name: w.ask("output").get("output", []) for w in running}
    expected = outputs.get("ONNX Runtime float") or outputs.get("LiteRT") or []
    # The same for all: disturbed bursts of one beside quiet ones of another would be no comparison.
    quiet = all(len(w.quiet) >= ENOUGH for w in running)
    found = []
    for worker in workers:
        row = {"runtime": worker.runtime.name}
        if worker.start.get("ok"):
            row |= worker.row(quiet) | {"agrees": correlation(expected, outputs[worker.runtime.name])}
        else:
            row["error"] = worker.start["error"]
        found.append(row)
    return found


def measure(network: str, threads: int, runtimes: list[Runtime], arguments: argparse.Namespace) -> list[dict]:
    networks, binaries = arguments.dir / "networks", arguments.binaries
    picture = networks / "picture.f32"
    np.random.default_rng(11).uniform(-1, 1, VALUES).astype("<f4").tofile(picture)
    # The last cores: the first serves most interrupts.
    cores = set(sorted(os.sched_getaffinity(0))[-threads:])
    workers: list[Worker] = []
    try:
        for runtime in runtimes:
            file = runtime.file(networks, network)
            if file is None:
                continue
            own = [str(binaries / "examples" / "worker")]
            command = own if runtime.worker == "dyadic" else [sys.executable, str(HERE / "worker.py"), runtime.worker]
            workers.append(Worker(runtime, [*command, str(file), str(threads), str(picture)], cores))
        rounds(workers, arguments)
        return [{"network": network, "threads": threads, **row} for row in rows(workers)]
    finally:
        for worker in workers:
            worker.close()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--binaries", type=Path, required=True, help="where cargo put dyadic and examples/worker")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one burst")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--networks", default="", help="only those whose names this matches")
    parser.add_argument("--runtimes", default="", help="only those whose names this matches, and Dyadic")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    machine = report.machine(arguments.binaries / "dyadic")
    wanted = [r for r in RUNTIMES
              if (r.name == "Dyadic" or re.search(arguments.runtimes, r.name))
              and (not r.beyond or set(r.beyond) & set(machine["features"]))]
    names = sorted(file.stem for file in (arguments.dir / "networks").glob("*.dyad") if ".onnx" not in file.name)
    results: list[dict] = []
    for network in (name for name in names if re.search(arguments.networks, name)):
        for threads in map(int, arguments.threads.split(",")):
            results += measure(network, threads, wanted, arguments)
            print(f"{network}, {threads}: " + ", ".join(
                f"{r['runtime']} {r['median_ms']:.2f}" if "median_ms" in r else f"{r['runtime']} failed"
                for r in results if (r["network"], r["threads"]) == (network, threads)), flush=True)
            # After every network, so that a run that is stopped leaves what it has.
            report.write(arguments.dir, machine, [r.name for r in wanted], results)


if __name__ == "__main__":
    main()
