"""What was measured, on what, as Markdown and JSON."""
from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = {"LiteRT": "ai-edge-litert", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
# Vector features that decide which multiply a kernel can use.
FEATURES = ("avx2", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm")


def machine(dyadic: Path) -> dict:
    """CPU, versions and date."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    own = subprocess.run([dyadic, "--version"], check=True, capture_output=True, text=True).stdout
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "features": [feature for feature in FEATURES if feature in flags],
        "date": datetime.date.today().isoformat(),
        "versions": {"Dyadic": own.split()[-1]} | {
            name: importlib.metadata.version(package) for name, package in PACKAGES.items()},
    }


def table(header: list[str], names: int, lines: list[list[str]]) -> str:
    """The first columns hold `names`, the others numbers."""
    rule = ["---"] * names + ["---:"] * (len(header) - names)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines]) + "\n"


def latency(results: list[dict], runtimes: list[str], threads: int) -> str:
    """Networks down, runtimes across: milliseconds, and how many times Dyadic's."""
    lines = []
    for network in dict.fromkeys(r["network"] for r in results):
        found = {r["runtime"]: r for r in results if (r["network"], r["threads"]) == (network, threads)}
        own = found.get("Dyadic", {}).get("median_ms")
        if own is None:
            continue

        def cell(name: str) -> str:
            row = found.get(name)
            if row is None or "error" in row:
                return "-" if row is None else "failed"
            ratio = "" if name == "Dyadic" else f" ({row['median_ms'] / own:.2f})"
            return f"{row['median_ms']:.2f}{ratio}"

        mark = "" if found["Dyadic"]["quiet"] else " \\*"
        lines.append([network + mark, *map(cell, runtimes)])
    return table(["network", *runtimes], 1, lines)


def details(results: list[dict]) -> str:
    lines = []
    for r in results:
        key = [r["network"], r["runtime"], str(r["threads"])]
        if "error" in r:
            lines.append([*key, "failed: " + r["error"].splitlines()[0].replace("|", "/")[:80], *[""] * 8])
            continue
        times = [f"{r[k]:.3g}" if r[k] < 1 else f"{r[k]:.2f}" for k in ("median_ms", "p10_ms", "p90_ms")]
        start = [f"{r[k]:.1f}" for k in ("load_ms", "first_ms")]
        memory = [f"{r[k]:.0f}" for k in ("peak_mib", "base_mib")]
        agrees = "-" if r["agrees"] is None else f"{r['agrees']:.4f}"
        lines.append([*key, *times, str(r["runs"]), *start, *memory, agrees])
    return table(["network", "runtime", "threads", "median ms", "p10", "p90", "runs", "load ms", "first ms", "peak MiB",
                  "before loading", "agrees"], 2, lines)


def write(folder: Path, about: dict, runtimes: list[str], results: list[dict]) -> None:
    """`results.md` and `results.json` in `folder`."""
    used = [name for name in runtimes if any(r["runtime"] == name for r in results)]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    features = " ".join(about["features"])
    parts = ["# Latency of Dyadic and other runtimes", "",
             f"{about['cpu']} ({about['cores']} cores; {features}), {about['date']}. {versions}.", "",
             "Milliseconds of one inference at batch 1, median; in brackets how many times Dyadic's. Only ratios "
             "within a row compare runtimes; `benches/peers/README.md` says how they were taken. `*`: other programs "
             "had the cores too often to leave their bursts out; times are upper bounds, ratios rough.", ""]
    for threads in sorted({r["threads"] for r in results}):
        parts += [f"## {threads} thread{'s' if threads > 1 else ''}", "", latency(results, used, threads)]
    parts += ["## Details", "", details(results)]
    (folder / "results.md").write_text("\n".join(parts), encoding="utf-8")
    data = json.dumps({**about, "results": results}, indent=1)
    (folder / "results.json").write_text(data + "\n", encoding="utf-8")
