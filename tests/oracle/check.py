"""Runs the stored cases with the `dyadic` command and compares every byte with the reference.

usage: check.py DYADIC CASES [--isa NAME] [--only TEXT] [--threads N] [--strict] [--verbose]

CASES holds one folder a case (as generate.py writes them, or real networks of the same layout).  For each:
  DYADIC compile model.tflite -o X.dyad --rounding tflite
  DYADIC run X.dyad --input in_C_0.npy [--input ...] --output-dir D [--isa NAME] [--threads N]
and D/J.npy is compared with ref_C_J.npy by value.  A compiler that refuses with exit code 2 counts as "refused";
any other end without outputs counts as "failed".  Exit code 1 if an element differs or a run failed (--strict: or
a case was refused).
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict

import numpy as np

COLUMNS = ("cases", "runs", "equal", "elements", "differing", "refused", "failed")


def call(command, seconds):
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, f"no end after {seconds} s"
    return done.returncode, (done.stderr.strip() or done.stdout.strip())


def numbered(folder, pattern):
    """{(c, i): path} of in_C_I.npy or ref_C_J.npy."""
    found = {}
    for path in glob.glob(os.path.join(folder, pattern + "_*_*.npy")):
        c, i = os.path.basename(path)[:-4].split("_")[-2:]
        found[int(c), int(i)] = path
    return found


def compare(ours, theirs):
    """(elements, differing); another shape differs everywhere."""
    if ours.shape != theirs.shape:
        return theirs.size, theirs.size
    return theirs.size, int((ours.astype(np.int64) != theirs.astype(np.int64)).sum())


def run_case(args, folder, work, row, notes):
    name, model = os.path.basename(folder), os.path.join(work, "case.dyad")
    code, text = call([args.dyadic, "compile", os.path.join(folder, "model.tflite"), "-o", model, "--rounding", "tflite"],
                      args.timeout)
    row["cases"] += 1
    if code != 0:
        kind = "refused" if code == 2 else "failed"
        row[kind] += 1
        notes.append((kind, name, f"compile: exit {code}: {text}"))
        return
    inputs, outputs = numbered(folder, "in"), numbered(folder, "ref")
    for c in sorted({k[0] for k in outputs}):
        out = os.path.join(work, f"out_{c}")
        command = [args.dyadic, "run", model, "--output-dir", out]
        for key in sorted(k for k in inputs if k[0] == c):
            command += ["--input", inputs[key]]
        for option in ("isa", "threads"):
            if getattr(args, option):
                command += ["--" + option, str(getattr(args, option))]
        code, text = call(command, args.timeout)
        row["runs"] += 1
        if code != 0:
            row["failed"] += 1
            notes.append(("failed", name, f"run {c}: exit {code}: {text}"))
            continue
        wrong = 0
        for key in sorted(k for k in outputs if k[0] == c):
            path = os.path.join(out, f"{key[1]}.npy")
            reference = np.load(outputs[key])
            if not os.path.exists(path):
                notes.append(("failed", name, f"run {c}: no {key[1]}.npy"))
                row["failed"] += 1
                continue
            size, misses = compare(np.load(path), reference)
            row["elements"] += size
            wrong += misses
        row["differing"] += wrong
        row["equal"] += wrong == 0
        if wrong:
            notes.append(("differs", name, f"run {c}: {wrong} elements"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dyadic")
    parser.add_argument("cases")
    parser.add_argument("--isa")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default="", help="part of the folder name")
    parser.add_argument("--timeout", type=int, default=120)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="every note, not the first three a kind and operator")
    args = parser.parse_args()
    folders = sorted(f for f in glob.glob(os.path.join(args.cases, "*")) if os.path.exists(os.path.join(f, "model.tflite")))
    folders = [f for f in folders if args.only in os.path.basename(f)]
    if not folders:
        sys.exit(f"{args.cases}: no case with a model.tflite")
    rows, notes = defaultdict(Counter), defaultdict(list)
    for folder in folders:
        op = os.path.basename(folder).split("-")[0]
        with tempfile.TemporaryDirectory() as work:
            run_case(args, folder, work, rows[op], notes[op])
    print(f"{'operator':26}" + "".join(f"{c:>11}" for c in COLUMNS))
    for op, row in sorted(rows.items()):
        print(f"{op:26}" + "".join(f"{row[c]:11}" for c in COLUMNS))
        shown = Counter()
        for kind, name, text in notes[op]:
            shown[kind] += 1
            if args.verbose or shown[kind] <= 3:
                print(f"    {kind:8} {name}: {' '.join(text.split())[:300]}")
    total = sum(rows.values(), Counter())
    print(f"{'all':26}" + "".join(f"{total[c]:11}" for c in COLUMNS))
    sys.exit(1 if total["differing"] or total["failed"] or (args.strict and total["refused"]) else 0)


if __name__ == "__main__":
    main()
