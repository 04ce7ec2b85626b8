#!/usr/bin/env python3
"""Executed instructions of one inference per network and emulated core, and static cycle estimates of the inner loops,
against the figures committed beside this script. Fails when one of them grows by more than 2 %.

    benches/arm/check.py [--update] [--sample]

--update writes the figures instead of checking them; --sample leaves out all networks but the sample. Networks other than the
sample are taken from the folder that DYADIC_MODELS names. Needed: tools/arm/setup.sh --llvm, and the Rust target
aarch64-unknown-linux-gnu. What is missing is left out, with a line that says so.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = "aarch64-unknown-linux-gnu"
CORES = ["cortex-a53", "cortex-a76", "max"]
NETWORKS = ["resnet8_int8", "vww_96_int8", "mobilenet_v2_1.0_224_int8"]
# What may be added to a figure before the check fails.
GROWTH = 1.02
LLVM = os.environ.get("LLVM_VERSION", "22")


def left_out(what):
    print(f"\nLEFT OUT: {what}", flush=True)


def run(*command):
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def build():
    """The command for this machine and for aarch64."""
    # The folders that plain cargo and tools/arm/env.sh use.
    given = os.environ.get("CARGO_TARGET_DIR")
    here, there = (pathlib.Path(given or ROOT / folder) for folder in ["target", "target/arm"])
    os.environ["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"] = "aarch64-linux-gnu-gcc"
    run("cargo", "build", "--release", "-p", "dyadic-cli", "--target-dir", here)
    run("cargo", "build", "--release", "-p", "dyadic-cli", "--target", TARGET, "--target-dir", there)
    return here / "release/dyadic", there / TARGET / "release/dyadic"


def networks(dyadic, work, sample_only):
    """Names and compiled files."""
    yield "road_signs", ROOT / "tools/cli/sample/road_signs.dyad"
    if sample_only:
        left_out("instruction counts of networks other than the sample")
        return
    models = os.environ.get("DYADIC_MODELS")
    if not models:
        left_out("instruction counts of real networks: DYADIC_MODELS names no folder")
        return
    for name in NETWORKS:
        source = pathlib.Path(models) / "tflite" / name / "model.tflite"
        if not source.is_file():
            left_out(f"instruction counts of {name}: there is no {source}")
            continue
        compiled = work / f"{name}.dyad"
        run(dyadic, "compile", source, "-o", compiled)
        yield name, compiled


def write_inputs(path, dyadic, network, count):
    """An .npy file of `count` inputs of bytes that a small generator draws."""
    facts = json.loads(run(dyadic, "inspect", network, "--json"))
    tensor = next(tensor for tensor in facts["tensors"] if tensor["name"] == facts["inputs"][0])
    kind = {"u8": "|u1", "s8": "|i1"}[tensor["type"]]
    shape = [tensor["shape"][0] * count] + tensor["shape"][1:]
    size = 1
    for extent in shape:
        size *= extent
    header = repr({"descr": kind, "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    state, values = 1, bytearray()
    for _ in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append(state >> 24)
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values)


def counts(host, board, sample_only):
    """Instructions of one inference: what a run of two inferences executes beyond a run of one. Loading cancels out."""
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, network in networks(host, work, sample_only):
            for count in [1, 2]:
                write_inputs(work / f"{count}.npy", host, network, count)
            for core in CORES:
                totals = [
                    int(run("tools/arm/count.sh", "-c", core, board, "run", network, "--input", work / f"{n}.npy",
                            "--output", work / "out.npy"))
                    for n in [1, 2]
                ]
                print(f"{name:28} {core:12} {totals[1] - totals[0]:>12} instructions", flush=True)
                yield f"{name} {core}", totals[1] - totals[0]


def cycles(board):
    """Cycles per iteration of the loops that `loops.txt` names, in hundredths."""
    if not shutil.which(f"llvm-mca-{LLVM}"):
        left_out(f"cycle estimates: there is no llvm-mca-{LLVM} (tools/arm/setup.sh --llvm)")
        return
    for line in (HERE / "loops.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, symbol = line.split(None, 1)
        text = run("tools/arm/cycles.sh", board, symbol)
        macs = int(re.search(r" (\d+) MACs$", text, re.M)[1])
        for core, value in re.findall(r"^(\S+) +([\d.]+) cycles", text, re.M):
            print(f"{name:28} {core:12} {float(value):>9.2f} cycles {macs / float(value):>7.2f} MACs/cycle", flush=True)
            yield f"{name} {core}", round(100 * float(value))


def read(path):
    rows = (line.rsplit(None, 1) for line in path.read_text().splitlines() if not line.startswith("#"))
    return {key: int(value) for key, value in rows}


def complaint(path, expected, key, value):
    """What is wrong with a figure, or None."""
    if key not in expected:
        return f"{path.name}: no figure of {key}: {value}"
    if value > GROWTH * expected[key]:
        return f"{path.name}: {key} grew from {expected[key]} to {value}"
    if value * GROWTH < expected[key]:
        print(f"{path.name}: {key} shrank from {expected[key]} to {value}: run benches/arm/check.py --update")
    return None


def main():
    options = set(sys.argv[1:])
    if not options <= {"--update", "--sample"}:
        sys.exit(__doc__)
    for tool in ["qemu-aarch64-static", "aarch64-linux-gnu-gcc"]:
        if not shutil.which(tool):
            left_out(f"aarch64 figures: there is no {tool} (tools/arm/setup.sh)")
            return
    host, board = build()
    complaints = []
    for name, title, figures in [
        ("cycles.txt", "Static estimates, not measured: loop, core, hundredths of a cycle per iteration.", cycles(board)),
        ("counts.txt", "Executed instructions of one inference: network, core, instructions.",
         counts(host, board, "--sample" in options)),
    ]:
        path = HERE / name
        expected = read(path) if path.exists() else {}
        for key, value in figures:
            if "--update" in options:
                # At once: the last network takes minutes.
                expected[key] = value
                path.write_text(f"# {title}\n" + "".join(f"{key} {value}\n" for key, value in sorted(expected.items())))
            else:
                complaints.append(complaint(path, expected, key, value))
    complaints = [text for text in complaints if text]
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
