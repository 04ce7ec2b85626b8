"""Simple pictograms as outlines about the origin, each about one unit high; callers place and scale them."""

import geometry as g


def place(parts: list, dx: float, dy: float, scale: float, mirror: bool = False) -> list:
    """Every outline scaled, mirrored left to right if asked, then moved."""
    flip = -scale if mirror else scale
    return [part * (flip, scale) + (dx, dy) for part in parts]


def walker(pen: float) -> list:
    """A walking person, height about 1.1."""
    limbs = [
        [(0.02, -0.3), (0.0, 0.08)],
        [(0.0, 0.06), (0.16, 0.3), (0.22, 0.58)],
        [(0.0, 0.06), (-0.1, 0.32), (-0.28, 0.55)],
        [(0.02, -0.26), (0.2, -0.08), (0.3, 0.04)],
        [(0.02, -0.26), (-0.16, -0.1), (-0.2, 0.08)],
    ]
    parts = [g.disc(0.05, -0.5, 0.12, 14)]
    for i, limb in enumerate(limbs):
        parts += g.stroke(limb, pen * (1.5 if i == 0 else 1.0))
    return parts


def bicycle(pen: float) -> list:
    """A bicycle seen from the side, width about 1.5."""
    lines = [
        g.arc(-0.45, 0.2, 0.28, 0.28, 0, 360, 18),
        g.arc(0.45, 0.2, 0.28, 0.28, 0, 360, 18),
        [(-0.45, 0.2), (-0.2, -0.2), (0.25, -0.2), (0.0, 0.2), (-0.45, 0.2)],
        [(0.0, 0.2), (-0.24, -0.34)],
        [(-0.36, -0.34), (-0.14, -0.34)],
        [(0.45, 0.2), (0.2, -0.38), (0.36, -0.42)],
    ]
    return [part for line in lines for part in g.stroke(line, pen)]


def car() -> list:
    """A car seen from behind, width 1, height 0.8."""
    return [
        g.rounded(g.outline((-0.5, -0.02), (0.5, -0.02), (0.5, 0.3), (-0.5, 0.3)), 0.08),
        g.outline((-0.42, 0.0), (-0.3, -0.4), (0.3, -0.4), (0.42, 0.0)),
        g.box(-0.44, 0.28, -0.24, 0.42),
        g.box(0.24, 0.28, 0.44, 0.42),
    ]


def car_window() -> list:
    return [g.outline((-0.3, -0.06), (-0.22, -0.3), (0.22, -0.3), (0.3, -0.06))]


def straight_arrow(pen: float) -> list:
    return g.stroke([(0.0, 0.58), (0.0, -0.2)], pen) + [g.arrow_head((0.0, -0.68), 270, 0.46)]


def turn_arrow(pen: float) -> list:
    """An arrow that comes from below and turns right."""
    path = [(-0.24, 0.56), (-0.24, 0.1)] + g.arc(0.0, 0.1, 0.24, 0.24, 180, 270, 6) + [(0.2, -0.14)]
    return g.stroke(path, pen) + [g.arrow_head((0.64, -0.14), 0, 0.44)]


def circling_arrows(pen: float) -> list:
    """Three arrows that chase one another counter-clockwise."""
    parts = []
    for start in (30, 150, 270):
        stop = start - 76
        parts += g.stroke(g.arc(0, 0, 0.52, 0.52, start, stop, 8), pen)
        tip = (0.55 * g.cosine(stop - 34), 0.55 * g.sine(stop - 34))
        parts.append(g.arrow_head(tip, stop - 34 - 82, 0.34))
    return parts
