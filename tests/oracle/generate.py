"""Writes the cases, runs them with LiteRT's reference kernels and stores what it answered.

usage: generate.py OUT [--count N] [--only OP[,OP...]] [--check]

OUT/OP-NAME/model.tflite, in_C_I.npy (input I of case C), ref_C_J.npy (output J); OUT/refused.json lists what LiteRT
itself does not run.  --check also compares every output with the rules of this folder and fails on a difference.
"""
import argparse
import json
import os
import sys
from collections import Counter, defaultdict

import numpy as np

import cases_chains
import cases_corners
import cases_image
import cases_matrix
import cases_pointwise
import cases_precision
import cases_shape
import evaluate
import reference

FAMILIES = {}
for module in (cases_matrix, cases_pointwise, cases_image, cases_shape, cases_chains, cases_corners,
               cases_precision):
    FAMILIES.update(module.FAMILIES)


def store(folder, case, results):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.tflite"), "wb") as f:
        f.write(case.raw)
    for c, (inputs, outputs) in enumerate(zip(case.inputs, results)):
        for i, array in enumerate(inputs):
            np.save(os.path.join(folder, f"in_{c}_{i}.npy"), array)
        for j, array in enumerate(outputs):
            np.save(os.path.join(folder, f"ref_{c}_{j}.npy"), array)


def differences(case, results):
    """(elements, differing elements) of the rules against the reference."""
    size = wrong = 0
    for inputs, outputs in zip(case.inputs, results):
        for ours, theirs in zip(evaluate.evaluate(case.raw, inputs), outputs):
            size += theirs.size
            wrong += theirs.size if ours.shape != theirs.shape else int((ours.astype(np.int64) != theirs).sum())
    return size, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    wanted = set(filter(None, args.only.split(","))) or set(FAMILIES)
    refused, bad = defaultdict(Counter), 0
    for op in sorted(wanted):
        made = elements = wrong = 0
        for generate in FAMILIES[op]:
            for case in generate(args.count):
                results, reason = reference.run(case.raw, case.inputs)
                if results is None:
                    refused[op][reason] += 1
                    if op == "CORNER":
                        print(f"  {case.name}: {reason[:150]}")
                    continue
                made += 1
                store(os.path.join(args.out, f"{op}-{case.name}"), case, results)
                if args.check:
                    size, misses = differences(case, results)
                    elements, wrong = elements + size, wrong + misses
                    if misses:
                        print(f"  {op}-{case.name}: {misses} of {size} differ")
        bad += wrong
        print(f"{op:26} files {made:4}  refused {sum(refused[op].values()):3}"
              + (f"  elements {elements:8}  differing {wrong}" if args.check else ""), flush=True)
    with open(os.path.join(args.out, "refused.json"), "w") as f:
        json.dump(refused, f, indent=1)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
