"""Digits and letters as strokes of our own, in a cell one wide and two high, and words made of them."""

import geometry as g

BOWL_TOP = g.arc(0.5, 0.48, 0.46, 0.48, 200, 450)
BOWL_BOTTOM = g.arc(0.5, 1.48, 0.5, 0.52, 270, 520)

GLYPHS = {
    "0": [g.arc(0.5, 1.0, 0.5, 1.0, 0, 360, 24)],
    "1": [[(0.1, 0.45), (0.6, 0.0), (0.6, 2.0)]],
    "3": [BOWL_TOP, BOWL_BOTTOM],
    "5": [[(0.95, 0.0), (0.15, 0.0), (0.08, 0.95)] + g.arc(0.48, 1.38, 0.52, 0.62, 225, 510)],
    "7": [[(0.0, 0.0), (1.0, 0.0), (0.35, 2.0)]],
    "8": [g.arc(0.5, 0.5, 0.43, 0.5, 0, 360, 20), g.arc(0.5, 1.47, 0.5, 0.53, 0, 360, 20)],
    "S": [g.arc(0.5, 0.52, 0.48, 0.52, 340, 90) + g.arc(0.5, 1.5, 0.5, 0.5, 270, 520)],
    "T": [[(0.0, 0.0), (1.0, 0.0)], [(0.5, 0.0), (0.5, 2.0)]],
    "O": [g.arc(0.5, 1.0, 0.5, 1.0, 0, 360, 24)],
    "P": [[(0.0, 2.0), (0.0, 0.0), (0.45, 0.0)] + g.arc(0.45, 0.52, 0.5, 0.52, 270, 450) + [(0.0, 1.04)]],
}


def word(text: str, width: float, height: float, pen: float) -> list:
    """Outlines of `text` centred on the origin within width x height; `pen` is the stroke's width."""
    cell = width / (len(text) + 0.45 * (len(text) - 1))
    parts = []
    for i, letter in enumerate(text):
        left = -width / 2 + 1.45 * cell * i
        for line in GLYPHS[letter]:
            points = [(left + x * cell, (y / 2 - 0.5) * height) for x, y in line]
            parts += g.stroke(points, pen)
    return parts
