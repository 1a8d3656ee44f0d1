"""Batches of drawn pictures, as a feed gives them, and small networks: what the tests of training train with."""

from __future__ import annotations

import torch

from vultus import catalogue
from vultus.train.trainable import Recognizer

PEOPLE, SIZE = 6, 32


class Drawn:
    """Batch k is drawn from k: each person is a plane of gray waves with noise. Told to break, it breaks a batch."""

    def __init__(self, batch: int = 8, people: int = PEOPLE, size: int = SIZE, broken: int = -1) -> None:
        self.batch, self.people, self.size, self.broken = batch, people, size, broken
        self.faces = torch.rand((people, 3, size, size), generator=torch.Generator().manual_seed(7))

    def batches(self, start: int):
        number = start
        while True:
            random = torch.Generator().manual_seed(1000 + number)
            label = torch.arange(self.batch).div(2, rounding_mode="floor") % self.people
            noise = torch.rand((self.batch, 3, self.size, self.size), generator=random)
            image = 0.7 * self.faces[label] + 0.3 * noise
            if number == self.broken:
                image[3, 1, 5, 5] = torch.nan
            yield {"image": image, "label": label, "index": torch.arange(self.batch) + self.batch * number}
            number += 1


def backbone(seed: int = 0):
    return catalogue.load(
        "iresnet.10",
        input_hw=(SIZE, SIZE),
        dim=16,
        widths=(4, 4, 8, 8),
        generator=torch.Generator().manual_seed(seed),
    )


def recognizer(loss: str | None = "cosface", pair: str | None = None, **args) -> Recognizer:
    own = {"classes": PEOPLE} if loss is not None else {}
    needs = {"classes": PEOPLE} if loss == "sphereface2" else {"scale": 8.0} if loss in ("cosface", "arcface") else {}
    return Recognizer(
        backbone(),
        loss=None if loss is None else catalogue.load(loss, **needs),
        pair=None if pair is None else catalogue.load(pair),
        **own,
        **args,
    )
