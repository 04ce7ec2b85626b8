"""Seeded random draws that are the same on every machine.

Only draws built from integers and exactly rounded arithmetic are offered: no normal(), no exp(), whose last bit may
differ between processors and C libraries.
"""

import numpy as np


class Dice:
    """Random draws of one picture; the seed is a tuple of integers such as (set, index, class)."""

    def __init__(self, *seed: int):
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.rng.random())

    def integer(self, low: int, high: int) -> int:
        """Uniform in low..high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.rng.random()) < probability

    def pick(self, choices):
        return choices[self.integer(0, len(choices) - 1)]

    def bell(self, spread: float) -> float:
        """Bell-shaped around 0: the mean of four uniform draws in -spread..spread."""
        return sum(self.uniform(-spread, spread) for _ in range(4)) / 4.0

    def noise(self, shape: tuple) -> np.ndarray:
        """Bell-shaped integer noise, the sum of four bytes less its mean; standard deviation about 148."""
        return self.rng.integers(0, 256, (4, *shape), dtype=np.int32).sum(axis=0) - 510
