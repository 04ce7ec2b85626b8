"""Writes the golden vectors of this folder: one JSON file a rule, {"rule": ..., "cases": [...]}.

usage: generate.py [--check]     --check compares with the files that are there instead of writing them

Python 3.11 or later, standard library only, seeded: every run writes the same bytes.
"""
import json
import random
import sys
from pathlib import Path

import layer_cases
import movement_cases
import rescale_cases

HERE = Path(__file__).parent


def main():
    check, stale, total = "--check" in sys.argv[1:], [], 0
    for name, make in (rescale_cases.FILES | layer_cases.FILES | movement_cases.FILES).items():
        cases = list(make(random.Random(f"dyadic {name}")))
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
        text = f'{{"rule":"{name}","cases":[\n{lines}\n]}}\n'
        path = HERE / f"{name}.json"
        total += len(text)
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.write_text(text)
        print(f"{name:26} {len(cases):4} cases {len(text):7} bytes")
    print(f"{'':26} {total} bytes in all")
    if stale:
        sys.exit(f"not what the script makes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
