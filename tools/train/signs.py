"""The road signs: for every class a function from a style to coloured outlines in the plane of the sign.

The shapes follow the general rules of the Vienna Convention on Road Signs and Signals and are drawn from scratch.
Later outlines cover earlier ones.
"""

from dataclasses import dataclass

import geometry as g
import pictograms as p
from dice import Dice
from glyphs import word

RED, BLUE, YELLOW, WHITE, BLACK = "red", "blue", "yellow", "white", "black"
GREEN, AMBER = "green", "amber"


@dataclass
class Style:
    """What differs between two specimens of the same sign."""

    ring: float  # width of a border as a share of the radius
    pen: float  # factor on the width of strokes
    stretch: float  # factor on the height of digits and letters
    face: str  # the inner colour of warning signs and limits: white or, in some countries, yellow
    mirror: bool  # pictograms that may look either way

    @staticmethod
    def drawn(dice: Dice) -> "Style":
        return Style(
            ring=dice.uniform(0.15, 0.24),
            pen=dice.uniform(0.82, 1.2),
            stretch=dice.uniform(0.85, 1.15),
            face=YELLOW if dice.chance(0.12) else WHITE,
            mirror=dice.chance(0.5),
        )


def paint(colour: str, parts: list) -> list:
    return [(colour, part) for part in parts]


def ringed(style: Style, face: str, border: str = RED) -> list:
    rim = paint(WHITE, [g.disc(0, 0, 1.0)])
    return rim + paint(border, [g.disc(0, 0, 0.96)]) + paint(face, [g.disc(0, 0, 0.96 - style.ring)])


def triangle(style: Style, pointing_up: bool = True) -> list:
    turn = 270 if pointing_up else 90
    layers = ((WHITE, 1.12), (RED, 1.08), (style.face, 1.05 - 1.7 * style.ring))
    drop = 0.22 if pointing_up else -0.22
    return [(c, g.rounded(g.regular(3, r, turn), 0.16 * r) + (0.0, drop)) for c, r in layers]


def plate(colour: str) -> list:
    outer = g.rounded(g.box(-0.9, -0.9, 0.9, 0.9), 0.14)
    return paint(WHITE, [outer]) + paint(colour, [outer * 0.93])


def blue_disc() -> list:
    return paint(WHITE, [g.disc(0, 0, 1.0)]) + paint(BLUE, [g.disc(0, 0, 0.95)])


def stop(style):
    layers = [(WHITE, g.regular(8, 1.0, 22.5)), (RED, g.regular(8, 0.94, 22.5))]
    return layers + paint(WHITE, word("STOP", 1.36, 0.56 * style.stretch, 0.115 * style.pen))


def give_way(style):
    return triangle(style, pointing_up=False)


def no_entry(style):
    return ringed(style, RED) + paint(WHITE, [g.box(-0.7, -0.17 * style.pen, 0.7, 0.17 * style.pen)])


def limit(text):
    def draw(style):
        wide = 0.92 if len(text) == 2 else 1.12
        return ringed(style, style.face) + paint(BLACK, word(text, wide, 0.8 * style.stretch, 0.15 * style.pen))

    return draw


def end_of_limits(style):
    bars = []
    for shift in (-0.24, -0.08, 0.08, 0.24):
        reach = 0.62
        bars += g.stroke([(-reach + shift, reach + shift), (reach + shift, -reach + shift)], 0.07 * style.pen)
    return ringed(Style(0.05, style.pen, 1, WHITE, False), WHITE, BLACK) + paint(BLACK, bars)


def no_overtaking(style):
    parts = []
    for colour, dx in ((RED, -0.34), (BLACK, 0.34)):
        parts += paint(colour, p.place(p.car(), dx, 0.02, 0.58))
        parts += paint(style.face, p.place(p.car_window(), dx, 0.02, 0.58))
    return ringed(style, style.face) + parts


def no_parking(style):
    slash = g.stroke([(-0.6, -0.6), (0.6, 0.6)], 0.2 * style.pen)
    return ringed(style, BLUE) + paint(RED, slash)


def priority_road(style):
    layers = ((WHITE, 1.0), (BLACK, 0.95), (WHITE, 0.9), (YELLOW, 0.85 - style.ring))
    return [(c, g.rounded(g.regular(4, r, 0), 0.1)) for c, r in layers]


def turn_left(style):
    return blue_disc() + paint(WHITE, p.place(p.turn_arrow(0.24 * style.pen), 0, 0, 1.0, mirror=True))


def turn_right(style):
    return blue_disc() + paint(WHITE, p.turn_arrow(0.24 * style.pen))


def straight_ahead(style):
    return blue_disc() + paint(WHITE, p.straight_arrow(0.24 * style.pen))


def roundabout(style):
    return blue_disc() + paint(WHITE, p.circling_arrows(0.17 * style.pen))


def pedestrian_crossing(style):
    face = [g.outline((0.0, -0.74), (0.76, 0.66), (-0.76, 0.66))]
    stripes = [g.outline((x - 0.05, 0.5), (x + 0.05, 0.5), (x + 0.07, 0.63), (x - 0.07, 0.63)) for x in (-0.4, -0.13, 0.13, 0.4)]
    person = p.place(p.walker(0.12 * style.pen), 0, 0.1, 0.72, style.mirror)
    return plate(BLUE) + paint(WHITE, face) + paint(BLACK, person + stripes)


def parking(style):
    return plate(BLUE) + paint(WHITE, word("P", 0.5, 1.15 * style.stretch, 0.25 * style.pen))


def danger(style):
    bar = [g.outline((-0.11 * style.pen, -0.4), (0.11 * style.pen, -0.4), (0.06, 0.26), (-0.06, 0.26))]
    return triangle(style) + paint(BLACK, bar + [g.disc(0, 0.44, 0.1 * style.pen, 16)])


def traffic_lights(style):
    housing = [g.rounded(g.box(-0.19, -0.42, 0.19, 0.58), 0.08)]
    lamps = [(c, g.disc(0, y, 0.115, 16)) for c, y in ((RED, -0.24), (AMBER, 0.08), (GREEN, 0.4))]
    return triangle(style) + paint(BLACK, housing) + lamps


def children(style):
    tall = p.place(p.walker(0.15 * style.pen), 0.18, 0.12, 0.78, style.mirror)
    small = p.place(p.walker(0.17 * style.pen), -0.24, 0.26, 0.56, style.mirror)
    return triangle(style) + paint(BLACK, tall + small)


def bicycles(style):
    return triangle(style) + paint(BLACK, p.place(p.bicycle(0.11 * style.pen), 0, 0.24, 0.74, style.mirror))


CLASSES = [
    ("stop", stop),
    ("give way", give_way),
    ("no entry", no_entry),
    ("speed limit 30", limit("30")),
    ("speed limit 50", limit("50")),
    ("speed limit 70", limit("70")),
    ("speed limit 80", limit("80")),
    ("speed limit 100", limit("100")),
    ("end of limits", end_of_limits),
    ("no overtaking", no_overtaking),
    ("no parking", no_parking),
    ("priority road", priority_road),
    ("turn left", turn_left),
    ("turn right", turn_right),
    ("straight ahead", straight_ahead),
    ("roundabout", roundabout),
    ("pedestrian crossing", pedestrian_crossing),
    ("parking", parking),
    ("danger", danger),
    ("traffic lights", traffic_lights),
    ("children", children),
    ("bicycles", bicycles),
]

LABELS = [name for name, _ in CLASSES]
