"""Runs ONNX's own conformance cases with Dyadic.

usage: conformance.py DYADIC [--only TEXT] [--isa NAME] [--keep FOLDER] [--verbose]

The cases are those of the Python package `onnx` for operators that Dyadic knows; `cases.py` says how each becomes a
network.  Outputs must be equal, or 1 apart where ONNX's rounding (half to even, float32 scales) decides; a ConvInteger,
MatMulInteger or DequantizeLinear rounds nothing and must be equal.  The summary counts cases that are equal, within 1,
refused (grouped by reason) and failed.  Exit code 1 when a case fails, or one of QLinearConv, QLinearMatMul,
ConvInteger, MatMulInteger, QuantizeLinear, DequantizeLinear is refused that is not in NOT_APPLICABLE.
--only runs the cases whose name contains TEXT; --keep leaves the networks there; --verbose lists every case.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx

import cases

# Integer cases that Dyadic has no form for: a pattern of their names, and why.
NOT_APPLICABLE = [
    (r"e4m3fn|e5m2|float4e2m1", "8- and 4-bit floating point is no integer"),
    (r"uint2|int2\b|int2$", "codes of 2 bits"),
    (r"uint16", "16-bit codes are signed in Dyadic"),
    (r"blocked", "one scale per block"),
    (r"quantizelinear_axis|quantizelinear_u?int4", "an activation with one scale per channel"),
]
# Cases that may be further apart than 1, by name: how far, and why.
FURTHER = []
EXACT = {"ConvInteger", "MatMulInteger", "DequantizeLinear"}


def not_applicable(network):
    if network.case.operator not in cases.INTEGER:
        return None
    return next((why for pattern, why in NOT_APPLICABLE if re.search(pattern, network.case.name)), None)


def reason(text):
    """The reason in a report of the compiler, without names and numbers of the one case."""
    found = re.search(r"^\s*(?:operator|network) .*?'[^\n]*': (.*)$", text, re.MULTILINE)
    line = found.group(1) if found else (text.strip().splitlines() or ["no message"])[0]
    return re.sub(r"error: \S*case.onnx: ", "", re.sub(r"'[^']*'", "'..'", line))


def run(command, network, folder, isa):
    """(outputs, '') or (None, why not)."""
    source, compiled = os.path.join(folder, "case.onnx"), os.path.join(folder, "case.dyad")
    onnx.save(network.model, source)
    made = subprocess.run([command, "compile", source, "-o", compiled], capture_output=True, text=True)
    if made.returncode:
        crashed = made.returncode != 2 or "panicked" in made.stderr
        return None, ("crashed: " if crashed else "") + (made.stderr or made.stdout)
    call = [command, "run", compiled, "--output-dir", folder] + (["--dequantize"] if network.dequantize else [])
    for number, (name, value) in enumerate(network.feeds):
        path = os.path.join(folder, f"in{number}.npy")
        np.save(path, value)
        call += ["--input", f"{name}={path}"]
    ran = subprocess.run(call + (["--isa", isa] if isa else []), capture_output=True, text=True)
    if ran.returncode:
        return None, "run: " + ran.stderr
    return [np.load(os.path.join(folder, f"{i}.npy")) for i in range(len(network.wanted))], ""


def distance(found, wanted):
    """Largest difference; a text where the shapes differ."""
    if found.shape != wanted.shape:
        return f"shape {found.shape}, expected {wanted.shape}"
    if wanted.dtype.kind == "f":
        return 0 if np.allclose(found, wanted, rtol=1e-6, atol=0) else "other real numbers"
    return int(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max(initial=0))


def verdict(network, arguments):
    """(verdict, detail): one of equal, within 1, further, refused, not applicable, empty, failed."""
    if any(w.size == 0 for w in network.wanted) or any(v.size == 0 for _, v in network.feeds):
        return "empty", "tensors without elements"
    with tempfile.TemporaryDirectory() as folder:
        found, why = run(arguments.dyadic, network, folder, arguments.isa)
    if arguments.keep:
        name = re.sub(r"\W+", "_", network.name)
        onnx.save(network.model, os.path.join(arguments.keep, name + ".onnx"))
    if found is None:
        if why.startswith(("crashed", "run:")):
            return "failed", why.strip()
        listed = not_applicable(network)
        return ("not applicable", listed) if listed else ("refused", reason(why))
    apart = [distance(f, w) for f, w in zip(found, network.wanted)]
    wrong = next((a for a in apart if isinstance(a, str)), None)
    if wrong:
        return "failed", wrong
    most = max(apart)
    if most <= (0 if network.case.operator in EXACT else 1):
        return ("equal", "") if most == 0 else ("within 1", "")
    detail = f"{most} apart"
    for pattern, limit, why in FURTHER:
        if re.search(pattern, network.name) and most <= limit:
            return "further", f"{detail}: {why}"
    return "failed", detail


def tabulated(counts):
    columns = ["equal", "within 1", "further", "refused", "not applicable", "empty", "failed"]
    print(f"{'operator':<20} {'networks':>8} " + " ".join(f"{c:>14}" for c in columns))
    total = collections.Counter()
    for operator in sorted(counts):
        row = counts[operator]
        total.update(row)
        print(f"{operator:<20} {sum(row.values()):>8} " + " ".join(f"{row[c]:>14}" for c in columns))
    print(f"{'all':<20} {sum(total.values()):>8} " + " ".join(f"{total[c]:>14}" for c in columns))


def listed(title, groups):
    if groups:
        print(f"\n{title}")
    for key in sorted(groups):
        names = groups[key]
        few = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        print(f"  {' '.join(key)} [{len(names)}]: {few}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dyadic")
    parser.add_argument("--only", default="")
    parser.add_argument("--isa")
    parser.add_argument("--keep")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, groups = collections.defaultdict(collections.Counter), collections.defaultdict(dict)
    left_out, good, number = collections.Counter(), True, 0
    for case in cases.collected():
        if arguments.only not in case.name or not known(case):
            continue
        number += 1
        try:
            networks = list(cases.networks(case))
        except Exception as error:  # The reference evaluator has no such form; the reason is printed.
            left_out[f"{case.operator}, {type(error).__name__}: {error}"] += 1
            continue
        if not networks:
            left_out[f"{case.operator} of {' and '.join(kinds(case))}, operator set {case.opset}"] += 1
        for network in networks:
            found, detail = verdict(network, arguments)
            counts[network.case.operator][found] += 1
            if arguments.verbose:
                print(f"{network.name}: {found} {detail}")
            if found != "equal":
                groups[found].setdefault((network.case.operator, detail), []).append(network.name)
            good &= found != "failed" and (found != "refused" or network.case.operator not in cases.INTEGER)
    print(f"{number} cases")
    tabulated(counts)
    for title in ("within 1", "further", "not applicable", "empty", "refused", "failed"):
        listed(title, groups[title])
    if left_out:
        print("\nleft out")
        for line, count in left_out.items():
            print(f"  {line} [{count}]")
    sys.exit(0 if good else 1)


def known(case):
    return case.operator in cases.INTEGER | cases.MOVEMENT | cases.FOLDED | cases.REAL | {"Resize"}


def kinds(case):
    name = lambda v: onnx.TensorProto.DataType.Name(v.data_type) if isinstance(v, onnx.TensorProto) else None
    return [name(v) or str(getattr(v, "dtype", type(v).__name__)) for v in case.inputs]


if __name__ == "__main__":
    main()
