"""Training pictures, shuffled and varied anew in every epoch, from seeds alone."""

import keras
import numpy as np

from dice import Dice

REACH = 4


class Varied(keras.utils.PyDataset):
    """Batches of float pictures in 0..1 and one-hot classes; every picture is shifted and its light changed."""

    def __init__(self, x: np.ndarray, y: np.ndarray, classes: int, batch: int, seed: int):
        super().__init__(workers=1, use_multiprocessing=False)
        self.x, self.y, self.batch, self.seed = x, np.eye(classes, dtype=np.float32)[y], batch, seed
        self.padded = np.pad(x, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
        self.epoch = 0
        self.deal()

    def deal(self):
        self.dice = Dice(self.seed, self.epoch)
        self.order = self.dice.rng.permutation(len(self.x))
        self.shifts = self.dice.rng.integers(0, 2 * REACH + 1, (len(self.x), 2))
        self.gains = 0.75 + 0.5 * self.dice.rng.random((len(self.x), 1, 1, 3), dtype=np.float32)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch)

    def __getitem__(self, number: int) -> tuple:
        side = self.x.shape[1]
        chosen = self.order[number * self.batch : (number + 1) * self.batch]
        cut = [self.padded[i, dy : dy + side, dx : dx + side] for i, (dy, dx) in zip(chosen, self.shifts[chosen])]
        light = np.stack(cut).astype(np.float32) / np.float32(255) * self.gains[chosen]
        return np.minimum(light, np.float32(1)), self.y[chosen]

    def on_epoch_end(self):
        self.epoch += 1
        self.deal()
