"""Photograph-like pictures of the signs: scene, camera, lens, light and sensor, all seeded.

Everything is drawn at OVERSAMPLE times the final size with integer corners, then reduced by box averages. Arithmetic is
integer or single exactly rounded IEEE operations, so the same seed gives the same bytes on every x86-64 machine.

    python render.py --contact-sheet sheet.png      one row of specimens per class
"""

import argparse
import hashlib
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image, ImageDraw

import geometry as g
from dice import Dice
from signs import CLASSES, LABELS, Style

SIDE = 48
OVERSAMPLE = 4
CANVAS = SIDE * OVERSAMPLE

# Seeds of the picture sets. No two sets share a picture.
TRAIN, VALIDATE, EVAL, LARGE_EVAL = 1, 2, 3, 4

PIGMENTS = {
    "red": (186, 24, 32),
    "blue": (18, 72, 160),
    "yellow": (242, 192, 30),
    "white": (236, 236, 232),
    "black": (24, 24, 26),
    "green": (30, 150, 70),
    "amber": (240, 160, 30),
}
GROUNDS = [(126, 160, 205), (190, 200, 210), (70, 104, 58), (96, 92, 86), (140, 120, 100), (60, 64, 70), (170, 150, 120)]


def corners(points) -> list:
    return [(int(np.floor(x + 0.5)), int(np.floor(y + 0.5))) for x, y in points]


def near(dice: Dice, colour, spread: int) -> tuple:
    return tuple(min(255, max(0, c + dice.integer(-spread, spread))) for c in colour)


def blob(dice: Dice, cx, cy, radius) -> list:
    count = dice.integer(4, 9)
    turn = dice.uniform(0, 360)
    points = []
    for i in range(count):
        reach = radius * dice.uniform(0.5, 1.3)
        angle = turn + 360 * i / count
        points.append((cx + reach * g.cosine(angle), cy + reach * g.sine(angle)))
    return corners(points)


def draw_background(dice: Dice) -> Image.Image:
    """A vertical gradient with blobs, buildings, posts and now and then a coloured disc as a distractor."""
    top, bottom = (np.array(near(dice, dice.pick(GROUNDS), 30)) for _ in range(2))
    ramp = np.arange(CANVAS)[:, None]
    rows = (top[None, :] * (CANVAS - 1 - ramp) + bottom[None, :] * ramp) // (CANVAS - 1)
    picture = Image.fromarray(np.repeat(rows[:, None, :], CANVAS, axis=1).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(dice.integer(3, 16)):
        x, y = dice.integer(0, CANVAS), dice.integer(0, CANVAS)
        size = dice.integer(6, 60)
        kind = dice.integer(0, 5)
        colour = near(dice, dice.pick(GROUNDS), 55)
        if kind <= 2:
            pen.polygon(blob(dice, x, y, size), fill=colour)
        elif kind == 3:
            pen.rectangle((x, y, x + size, y + dice.integer(8, 120)), fill=colour)
        elif kind == 4:
            pen.line((x, y, dice.integer(0, CANVAS), dice.integer(0, CANVAS)), fill=colour, width=dice.integer(1, 8))
        else:
            bright = near(dice, PIGMENTS[dice.pick(["red", "blue", "yellow", "white"])], 25)
            pen.polygon(corners(g.disc(x, y, size / 2, 20)), fill=bright)
    return picture


def camera(dice: Dice) -> g.View:
    middle = CANVAS / 2
    return g.View(
        roll=dice.bell(26),
        yaw=dice.bell(75),
        pitch=dice.bell(45),
        distance=dice.uniform(2.6, 6.0),
        scale=middle * dice.uniform(0.5, 0.92),
        center=(middle + dice.bell(26), middle + dice.bell(26)),
    )


def draw_sign(dice: Dice, picture: Image.Image, cls: int, view: g.View):
    """The post, an optional board behind the sign, and the sign with its own pigments and fading."""
    pen = ImageDraw.Draw(picture)
    if dice.chance(0.7):
        half = dice.uniform(0.04, 0.09)
        post = view.project(g.box(-half, 0.0, half, 3.0 if view.distance > 3.2 else 1.8))
        pen.polygon(corners(post), fill=near(dice, (140, 140, 140), 40))
    if dice.chance(0.12):
        board = near(dice, dice.pick([(200, 200, 40), (225, 225, 225), (90, 95, 100)]), 25)
        pen.polygon(corners(view.project(g.box(-1.15, -1.2, 1.15, 1.35))), fill=board)
    fade = dice.integer(0, 90) if dice.chance(0.3) else dice.integer(0, 25)
    pigments = {}
    for name, colour in PIGMENTS.items():
        fresh = near(dice, colour, 20)
        pigments[name] = tuple((c * (256 - fade) + 190 * fade) // 256 for c in fresh)
    for name, part in CLASSES[cls][1](Style.drawn(dice)):
        pen.polygon(corners(view.project(part)), fill=pigments[name])


def draw_obstacles(dice: Dice, picture: Image.Image) -> Image.Image:
    """Leaves, stickers and branches in front of the sign, and a hard shadow across it."""
    pen = ImageDraw.Draw(picture)
    if dice.chance(0.35):
        for _ in range(dice.integer(1, 4)):
            x, y = dice.integer(20, CANVAS - 20), dice.integer(20, CANVAS - 20)
            pen.polygon(blob(dice, x, y, dice.integer(5, 22)), fill=near(dice, dice.pick(GROUNDS), 40))
    if dice.chance(0.2):
        ends = [dice.integer(0, CANVAS) for _ in range(4)]
        pen.line(ends, fill=near(dice, (70, 60, 45), 25), width=dice.integer(2, 9))
    if dice.chance(0.12):
        side = dice.integer(18, 52)
        strip = dice.pick([(0, 0, side, CANVAS), (CANVAS - side, 0, CANVAS, CANVAS), (0, CANVAS - side, CANVAS, CANVAS)])
        pen.rectangle(strip, fill=near(dice, dice.pick(GROUNDS), 40))
    if dice.chance(0.3):
        mask = Image.new("L", picture.size, 0)
        x, y, turn = dice.integer(0, CANVAS), dice.integer(0, CANVAS), dice.uniform(0, 360)
        reach = 2 * CANVAS
        half_plane = [(x + reach * g.cosine(turn + a), y + reach * g.sine(turn + a)) for a in (0, 90, 180)]
        ImageDraw.Draw(mask).polygon(corners(half_plane), fill=dice.integer(70, 150))
        picture = Image.composite(Image.new("RGB", picture.size, (8, 10, 18)), picture, mask)
    return picture


def box_blur(pixels: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Mean over 2 * reach + 1 pixels along an axis, edges repeated; integers only."""
    pad = [(0, 0)] * 3
    pad[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(pixels, pad, mode="edge"), axis=axis, dtype=np.int32)
    span = 2 * reach + 1
    high = np.take(sums, range(span, sums.shape[axis]), axis=axis)
    low = np.take(sums, range(0, sums.shape[axis] - span), axis=axis)
    return (high - low + span // 2) // span


def lens(dice: Dice, picture: Image.Image) -> np.ndarray:
    """Motion blur, defocus, reduction to SIDE, and sometimes the softness of a picture taken from afar."""
    pixels = np.asarray(picture, dtype=np.int32)
    if dice.chance(0.3):
        steps, dx, dy = dice.integer(3, 7), dice.integer(-3, 3), dice.integer(-2, 2)
        pixels = sum(np.roll(pixels, (dy * k, dx * k), axis=(0, 1)) for k in range(steps)) // steps
    reach = dice.pick([0, 0, 1, 1, 2, 3, 4])
    if reach > 0:
        for axis in (0, 1, 0, 1):
            pixels = box_blur(pixels, reach, axis)
    blocks = pixels.reshape(SIDE, OVERSAMPLE, SIDE, OVERSAMPLE, 3).sum(axis=(1, 3))
    small = (blocks + OVERSAMPLE * OVERSAMPLE // 2) // (OVERSAMPLE * OVERSAMPLE)
    if dice.chance(0.25):
        far = dice.integer(18, 34)
        image = Image.fromarray(small.astype(np.uint8)).resize((far, far), Image.Resampling.BOX)
        small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.int32)
    return small


def light(dice: Dice, pixels: np.ndarray) -> np.ndarray:
    """Exposure, white balance, a gradient of light, haze and glare on a (SIDE, SIDE, 3) picture in 0..255."""
    exposure = dice.uniform(0.28, 0.6) if dice.chance(0.2) else dice.uniform(0.65, 1.3)
    balance = np.array([dice.uniform(0.84, 1.16) for _ in range(3)])
    across = np.arange(SIDE) / (SIDE - 1) - 0.5
    slope_x, slope_y = dice.bell(0.7), dice.bell(0.7)
    ramp = 1.0 + slope_x * across[None, :] + slope_y * across[:, None]
    lit = pixels * balance * (ramp * exposure)[:, :, None]
    haze = dice.uniform(0.1, 0.55) if dice.chance(0.25) else 0.0
    lit = lit * (1.0 - haze) + haze * dice.uniform(120, 220)
    if dice.chance(0.1):
        gx, gy, radius = dice.uniform(-0.5, 0.5), dice.uniform(-0.5, 0.5), dice.uniform(0.2, 0.5)
        dx, dy = across[None, :] - gx, across[:, None] - gy
        falloff = np.maximum(0.0, 1.0 - (dx * dx + dy * dy) / (radius * radius))
        lit = lit + (dice.uniform(60, 190) * falloff)[:, :, None]
    return lit


def sensor(dice: Dice, pixels: np.ndarray) -> np.ndarray:
    """Noise per pixel and channel, partly common to the channels, then clipped bytes."""
    grain = dice.uniform(0.0, 9.0) if dice.chance(0.7) else dice.uniform(9.0, 24.0)
    colour = dice.noise((SIDE, SIDE, 3)) * (0.7 * grain / 148.0)
    grey = dice.noise((SIDE, SIDE, 1)) * (0.7 * grain / 148.0)
    return np.clip(np.floor(pixels + colour + grey + 0.5), 0, 255).astype(np.uint8)


def render(seed: tuple, cls: int) -> np.ndarray:
    """One (SIDE, SIDE, 3) uint8 picture of class `cls`."""
    dice = Dice(*seed, cls)
    picture = draw_background(dice)
    draw_sign(dice, picture, cls, camera(dice))
    picture = draw_obstacles(dice, picture)
    return sensor(dice, light(dice, lens(dice, picture)))


def render_numbered(job: tuple) -> np.ndarray:
    which, index = job
    return render((which, index), index % len(CLASSES))


def picture_set(which: int, per_class: int, workers: int = 2) -> tuple:
    """(x, y): uint8 pictures NHWC and uint8 classes; classes alternate, so every prefix is balanced."""
    jobs = [(which, index) for index in range(per_class * len(CLASSES))]
    with ProcessPoolExecutor(workers) as pool:
        x = np.stack(list(pool.map(render_numbered, jobs, chunksize=64)))
    y = np.array([index % len(CLASSES) for _, index in jobs], dtype=np.uint8)
    return x, y


def digest(x: np.ndarray, y: np.ndarray) -> str:
    """SHA-256 of the pictures' bytes and then the classes' bytes."""
    return hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()


def contact_sheet(x: np.ndarray, columns: int, zoom: int = 1) -> Image.Image:
    """Pictures of a balanced set, one column a specimen and one row a class."""
    rows = len(LABELS)
    grid = x[: rows * columns].reshape(columns, rows, SIDE, SIDE, 3).transpose(1, 2, 0, 3, 4)
    sheet = Image.fromarray(grid.reshape(rows * SIDE, columns * SIDE, 3))
    return sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contact-sheet", required=True, metavar="PNG")
    parser.add_argument("--columns", type=int, default=20)
    options = parser.parse_args()
    contact_sheet(picture_set(TRAIN, options.columns)[0], options.columns).save(options.contact_sheet)
