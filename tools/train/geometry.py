"""Points, outlines and strokes in the plane of a sign, and the view of that plane by a camera.

An outline is an (n, 2) float64 array of x (right) and y (down); a sign reaches from -1 to 1 on both axes.
Sines and cosines are rounded to nine digits, so that a C library's last bit cannot change a picture.
"""

import math

import numpy as np


def cosine(degrees: float) -> float:
    return round(math.cos(math.radians(degrees)), 9)


def sine(degrees: float) -> float:
    return round(math.sin(math.radians(degrees)), 9)


def outline(*points) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def arc(cx, cy, rx, ry, start, stop, steps=14) -> list:
    """Points on an ellipse from angle `start` to `stop` in degrees, clockwise as seen (y is down)."""
    angles = [start + (stop - start) * i / steps for i in range(steps + 1)]
    return [(cx + rx * cosine(a), cy + ry * sine(a)) for a in angles]


def disc(cx, cy, radius, steps=40) -> np.ndarray:
    return outline(*arc(cx, cy, radius, radius, 0, 360, steps)[:-1])


def regular(corners: int, radius: float, turn: float) -> np.ndarray:
    return outline(*arc(0, 0, radius, radius, turn, turn + 360, corners)[:-1])


def box(left, top, right, bottom) -> np.ndarray:
    return outline((left, top), (right, top), (right, bottom), (left, bottom))


def rounded(corners: np.ndarray, radius: float) -> np.ndarray:
    """A convex outline with each corner replaced by a quadratic curve that starts `radius` before it."""
    points = []
    count = len(corners)
    for i in range(count):
        here, before, after = corners[i], corners[i - 1], corners[(i + 1) % count]
        start = here + (before - here) * (radius / length(before - here))
        stop = here + (after - here) * (radius / length(after - here))
        for t in (0.0, 0.25, 0.5, 0.75, 1.0):
            points.append(start * (1 - t) * (1 - t) + here * 2 * t * (1 - t) + stop * t * t)
    return np.array(points)


def length(vector) -> float:
    return math.sqrt(float(vector[0]) * float(vector[0]) + float(vector[1]) * float(vector[1]))


def stroke(points: list, width: float) -> list:
    """A line of given width through points with round joints: one outline a segment and one a joint."""
    half = width / 2
    parts = [disc(x, y, half, 10) for x, y in points]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        reach = length((x1 - x0, y1 - y0))
        if reach > 0:
            nx, ny = -(y1 - y0) / reach * half, (x1 - x0) / reach * half
            parts.append(outline((x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)))
    return parts


def arrow_head(tip, direction: float, size: float) -> np.ndarray:
    """A triangle with its tip at `tip` that points to `direction` (degrees, 0 is right, 90 is down)."""
    dx, dy = cosine(direction), sine(direction)
    back = (tip[0] - dx * size, tip[1] - dy * size)
    side = size * 0.62
    return outline(tip, (back[0] - dy * side, back[1] + dx * side), (back[0] + dy * side, back[1] - dx * side))


class View:
    """A pinhole camera that sees the sign's plane turned by three angles (degrees), scaled and shifted."""

    def __init__(self, roll, yaw, pitch, distance, scale, center):
        cr, sr, cy, sy, cp, sp = cosine(roll), sine(roll), cosine(yaw), sine(yaw), cosine(pitch), sine(pitch)
        self.rows = ((cr * cy - sr * sp * sy, -sr * cp), (sr * cy + cr * sp * sy, cr * cp), (-cp * sy, sp))
        self.distance, self.scale, self.center = distance, scale, center

    def project(self, points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        (a, b), (c, d), (e, f) = self.rows
        shrink = self.scale * self.distance / (self.distance + e * x + f * y)
        return np.stack(
            [(a * x + b * y) * shrink + self.center[0], (c * x + d * y) * shrink + self.center[1]], axis=1
        )
