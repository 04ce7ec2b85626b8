"""Render the pictures, train the sample network, quantize it, measure it and write what the repository ships.

    python tools/train/train.py --out tools/cli/sample            everything; README.md says how long
    python tools/train/train.py --out /tmp/sample --quick         a smoke run of about a minute
    python tools/train/train.py --out tools/cli/sample --check    only: are the rendered pictures the recorded ones?
"""

import argparse
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

THREADS = 2
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import render
from card import card
from signs import LABELS

SEED = 20
EVAL_PER_CLASS = 24
FULL = {"train_per_class": 550, "large_per_class": 100, "epochs": 13, "calibrate": 440}
QUICK = {"train_per_class": 40, "large_per_class": 10, "epochs": 2, "calibrate": 44}
BATCH = 64
PEAK_RATE = 4e-3
SAMPLE_CLASS = "bicycles"
PACKAGES = ("tensorflow-cpu", "keras", "numpy", "pillow", "ai-edge-litert")


def pictures(plan: dict) -> dict:
    """Every picture set by name, each (x, y)."""
    return {
        "train": render.picture_set(render.TRAIN, plan["train_per_class"]),
        "validate": render.picture_set(render.VALIDATE, EVAL_PER_CLASS),
        "eval": render.picture_set(render.EVAL, EVAL_PER_CLASS),
        "large_eval": render.picture_set(render.LARGE_EVAL, plan["large_per_class"]),
    }


def scaled(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / np.float32(255)


def train(sets: dict, epochs: int):
    """The trained float network. Same machine and versions: same weights. Other machines: nearly the same."""
    import keras
    import tensorflow as tf
    from augment import Varied
    from model import build

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)
    x, y = sets["train"]
    steps = epochs * -(-len(x) // BATCH)
    warmup = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, decay_steps=steps - warmup, warmup_target=PEAK_RATE, warmup_steps=warmup
    )
    model = build(render.SIDE, len(LABELS))
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
        metrics=["accuracy"],
    )
    seen = (scaled(sets["validate"][0]), np.eye(len(LABELS), dtype=np.float32)[sets["validate"][1]])
    model.fit(Varied(x, y, len(LABELS), BATCH, SEED), epochs=epochs, validation_data=seen, shuffle=False, verbose=2)
    return model


def accuracy(scores: np.ndarray, y: np.ndarray) -> dict:
    """Top-1, recall of each class and the worst; ties in the scores go to the lower class."""
    right = scores.argmax(axis=1) == y
    recall = {name: round(float(right[y == c].mean()), 4) for c, name in enumerate(LABELS)}
    return {
        "pictures": len(y),
        "right": int(right.sum()),
        "top1": round(float(right.mean()), 4),
        "worst_class": min(recall, key=recall.get),
        "recall": recall,
    }


def measure(model, flat: bytes, sets: dict) -> tuple:
    """Accuracy by what ran, and the scores of the evaluation set: float, and int8 by the reference kernels."""
    from quantize import predict

    x, y = sets["eval"]
    many_x, many_y = sets["large_eval"]
    scores_float = model.predict(scaled(x), verbose=0)
    scores_int8 = predict(flat, x, reference=True)
    results = {
        "float": accuracy(scores_float, y),
        "int8_reference": accuracy(scores_int8, y),
        "int8_builtin": accuracy(predict(flat, x, reference=False), y),
        "large_float": accuracy(model.predict(scaled(many_x), verbose=0), many_y),
        "large_int8_builtin": accuracy(predict(flat, many_x, reference=False), many_y),
    }
    return results, scores_float, scores_int8


def choose_sample(scores: np.ndarray, x: np.ndarray, y: np.ndarray) -> int:
    """The picture of SAMPLE_CLASS with most contrast that the network gets right without being all but certain."""
    right = np.flatnonzero((scores.argmax(axis=1) == y) & (y == LABELS.index(SAMPLE_CLASS)))
    doubtful = [i for i in right if scores[i].max() < 118]
    return int(max(doubtful or list(right) or [0], key=lambda i: x[i].astype(np.float64).std()))


def write(out: Path, flat: bytes, sets: dict, metrics: dict):
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    x, y = sets["eval"]
    (out / "road_signs_int8.tflite").write_bytes(flat)
    (out / "labels.txt").write_text("".join(f"{name}\n" for name in LABELS))
    np.save(out / "eval_x.npy", x)
    np.save(out / "eval_y.npy", y)
    Image.fromarray(x[metrics["sample"]["index"]]).save(out / "sample.png")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    (out / "README.md").write_text(card(metrics))


def check(out: Path, plan: dict) -> int:
    """Render again and compare with the digests in metrics.json."""
    recorded = json.loads((out / "metrics.json").read_text())["pictures_sha256"]
    wrong = 0
    for name, (x, y) in pictures(plan).items():
        found = render.digest(x, y)
        wrong += found != recorded[name]
        print(f"{name}: {found} {'as recorded' if found == recorded[name] else 'recorded ' + recorded[name]}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the network, pictures and metrics")
    parser.add_argument("--quick", action="store_true", help="few pictures, two epochs: shows that everything runs")
    parser.add_argument("--check", action="store_true", help="compare the rendered pictures with metrics.json, no training")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.check:
        return check(options.out, plan)

    start = time.monotonic()
    sets = pictures(plan)
    print(f"rendered {sum(len(y) for _, y in sets.values())} pictures in {time.monotonic() - start:.0f} s", flush=True)
    model = train(sets, plan["epochs"])
    from quantize import describe, to_int8

    flat = to_int8(model, sets["train"][0][: plan["calibrate"]])
    results, scores_float, scores_int8 = measure(model, flat, sets)
    x, y = sets["eval"]
    sample = choose_sample(scores_int8, x, y)
    metrics = {
        "network": describe(flat),
        "plan": plan,
        "versions": {name: version(name) for name in PACKAGES},
        "pictures_sha256": {name: render.digest(x, y) for name, (x, y) in sets.items()},
        "sample": {"index": sample, "label": LABELS[y[sample]]},
        "float_int8_disagreements": int((scores_float.argmax(axis=1) != scores_int8.argmax(axis=1)).sum()),
        "accuracy": results,
    }
    write(options.out, flat, sets, metrics)
    for name, figures in results.items():
        worst = figures["worst_class"]
        print(f"{name}: top-1 {figures['top1']:.4f} of {figures['pictures']}, worst {worst} {figures['recall'][worst]:.4f}")
    print(f"network: {metrics['network']}")
    print(f"all in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
