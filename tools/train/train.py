"""Render the pictures, train the sample network, quantize it, measure it and write what the repository ships.

    python tools/train/train.py --out tools/cli/sample            everything, about ten minutes on two cores
    python tools/train/train.py --out /tmp/sample --quick         a smoke run of about a minute
    python tools/train/train.py --out tools/cli/sample --check    only: are the rendered pictures the recorded ones?
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

THREADS = 2
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import render
from signs import LABELS

SEED = 20
EVAL_PER_CLASS = 24
FULL = {"train_per_class": 700, "large_per_class": 200, "epochs": 20, "calibrate": 440}
QUICK = {"train_per_class": 40, "large_per_class": 10, "epochs": 2, "calibrate": 44}
BATCH = 64
PEAK_RATE = 4e-3
SAMPLE_CLASS = "bicycles"


def pictures(plan: dict) -> dict:
    """Every picture set by name, each (x, y)."""
    return {
        "train": render.picture_set(render.TRAIN, plan["train_per_class"]),
        "validate": render.picture_set(render.VALIDATE, EVAL_PER_CLASS),
        "eval": render.picture_set(render.EVAL, EVAL_PER_CLASS),
        "large_eval": render.picture_set(render.LARGE_EVAL, plan["large_per_class"]),
    }


def train(sets: dict, epochs: int):
    """The trained float network. Same machine and versions: same weights. Other machines: nearly the same."""
    import keras
    import tensorflow as tf
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
    one_hot = np.eye(len(LABELS), dtype=np.float32)
    scaled = {name: (sets[name][0].astype(np.float32) / 255, one_hot[sets[name][1]]) for name in ("train", "validate")}
    model.fit(*scaled["train"], batch_size=BATCH, epochs=epochs, validation_data=scaled["validate"], verbose=2)
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


def measure(model, flat: bytes, sets: dict) -> dict:
    from quantize import predict

    x, y = sets["eval"]
    many_x, many_y = sets["large_eval"]
    scores = predict(flat, x, reference=True)
    builtin = predict(flat, x, reference=False)
    return {
        "float": accuracy(model.predict(x.astype(np.float32) / 255, verbose=0), y),
        "int8_litert_reference_kernels": accuracy(scores, y),
        "int8_litert_builtin_kernels": accuracy(builtin, y),
        "large_eval_float": accuracy(model.predict(many_x.astype(np.float32) / 255, verbose=0), many_y),
        "large_eval_int8_litert_builtin_kernels": accuracy(predict(flat, many_x, reference=False), many_y),
    }, scores


def choose_sample(scores: np.ndarray, y: np.ndarray) -> int:
    """The first picture of SAMPLE_CLASS that the network gets right without being all but certain, if there is one."""
    right = np.flatnonzero((scores.argmax(axis=1) == y) & (y == LABELS.index(SAMPLE_CLASS)))
    doubtful = [i for i in right if scores[i].max() < 118]
    return int((doubtful or list(right) or [0])[0])


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
    results, scores = measure(model, flat, sets)
    sample = choose_sample(scores, sets["eval"][1])
    metrics = {
        "network": describe(flat),
        "plan": plan,
        "pictures_sha256": {name: render.digest(x, y) for name, (x, y) in sets.items()},
        "sample": {"index": sample, "label": LABELS[sets["eval"][1][sample]]},
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
