"""The README.md beside the network, written from its metrics so that the two cannot differ."""

from signs import LABELS

TEXT = """# Road signs: the sample network

Written by `tools/train/train.py`; do not edit by hand.

| file | what it is |
|---|---|
| `road_signs_int8.tflite` | the network, {file_bytes} bytes: {weights} INT8 weights, {mmacs:.1f} million multiply-accumulates a picture |
| `labels.txt` | {count} class names, one a line, in the order of the outputs |
| `sample.png` | picture {sample_index} of the evaluation set, "{sample_label}", {side}x{side} RGB |
| `eval_x.npy` | {pictures} pictures, uint8, NHWC, RGB, {side}x{side} |
| `eval_y.npy` | their classes, uint8 |
| `metrics.json` | everything below as data, and the SHA-256 of every picture set |
| `road_signs.dyad` | what `dyadic compile road_signs_int8.tflite -o road_signs.dyad --rgb --mean 0 --std 255 --labels labels.txt --target avx2 --target avxvnni` makes of it; `dyadic demo` runs it |

Pictures, network and texts were made by this project's own code and carry the project's licence. The signs are drawn
from scratch after the general rules of the Vienna Convention; no photograph, font or foreign data set is inside.

## Network

Input int8 1x{side}x{side}x3, scale 1/255, zero point -128: the tensor is the picture's byte less 128 (recipe: RGB, mean 0,
standard deviation 255). Output int8 1x{count}, softmax, scale 1/256, zero point -128. Weights are symmetric per channel;
batch normalization is folded, ReLU6 is fused. A standard convolution, a residual block of two 3x3 convolutions, two
depthwise-separable blocks, four inverted residual blocks, a pointwise convolution, the mean over the picture, a
fully connected layer and softmax.

Operators: {operators}.

## Accuracy

The evaluation set has {per_class} pictures a class, rendered with seeds that training never saw. Many are meant to be hard:
night, haze, glare, noise, blur, steep views, occlusion. The large set is rendered the same way with other seeds and not
stored. LiteRT (`ai-edge-litert` {litert}) runs one thread without delegates; "reference" is its reference kernels
(`BUILTIN_REF`), "built-in" its optimized ones.

| what ran | pictures | right | top-1 | worst class | its recall |
|---|---:|---:|---:|---|---:|
{rows}

Of the evaluation set the network in floating point and its INT8 form (reference kernels) disagree on {flips} pictures.

Recall per class, evaluation set, INT8 with reference kernels, and the large set, INT8 with built-in kernels:

| class | label | evaluation set | large set |
|---:|---|---:|---:|
{recalls}
"""

NAMES = {
    "float": "evaluation set, float",
    "int8_reference": "evaluation set, INT8, reference",
    "int8_builtin": "evaluation set, INT8, built-in",
    "large_float": "large set, float",
    "large_int8_builtin": "large set, INT8, built-in",
}


def card(metrics: dict) -> str:
    network, accuracy = metrics["network"], metrics["accuracy"]
    rows, recalls = [], []
    for key, name in NAMES.items():
        a = accuracy[key]
        worst = a["worst_class"]
        rows.append(f"| {name} | {a['pictures']} | {a['right']} | {a['top1']:.4f} | {worst} | {a['recall'][worst]:.4f} |")
    for c, label in enumerate(LABELS):
        small, large = (accuracy[key]["recall"][label] for key in ("int8_reference", "large_int8_builtin"))
        recalls.append(f"| {c} | {label} | {small:.4f} | {large:.4f} |")
    return TEXT.format(
        file_bytes=network["file_bytes"],
        weights=network["weights"],
        mmacs=network["macs"] / 1e6,
        count=len(LABELS),
        side=network["input"]["shape"][1],
        sample_index=metrics["sample"]["index"],
        sample_label=metrics["sample"]["label"],
        pictures=accuracy["float"]["pictures"],
        per_class=accuracy["float"]["pictures"] // len(LABELS),
        operators=", ".join(f"{name} {count}" for name, count in network["operators"].items()),
        litert=metrics["versions"]["ai-edge-litert"],
        flips=metrics["float_int8_disagreements"],
        rows="\n".join(rows),
        recalls="\n".join(recalls),
    )
