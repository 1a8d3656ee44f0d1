"""An adapter between two real embedders, learned and measured on some people of LFW."""

from __future__ import annotations

import numpy as np
import pytest

from vultus import catalogue
from vultus.gallery.adapter import Adapter
from vultus.io import datasets, images


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.models("default", "accurate")
def test_moving_from_the_default_embedder_to_a_better_one_keeps_most_matches(data_dir):
    people = [photos[:2] for _, photos in datasets.folder(data_dir / "lfw_deepfunneled").people() if len(photos) > 1]
    pictures = [images.read(path, truncated="accept").pixels for photos in people[:200] for path in photos]
    faces = catalogue.load("centerface").detect(pictures)
    aligner = catalogue.load("similarity5")
    old, new = catalogue.load("dlib_resnet29"), catalogue.load("fr_feature")
    rows = [
        model.embed(
            np.concatenate(
                [aligner.align(p, f.points[:1], model.crop)[0] for p, f in zip(pictures, faces, strict=True)]
            )
        ).vec
        for model in (old, new)
    ]
    made = Adapter.fit(
        *rows,
        np.repeat(np.arange(200), 2),
        rng=np.random.default_rng(0),
        source_space=old.space,
        target_space=new.space,
        kind="ridge",
    )
    metrics = made.report.metrics
    assert made.report.useful
    assert metrics["target_target.tar_at_far_1e-2"].value > 0.9
    assert metrics["adapted_target.tar_at_far_1e-2"].value > 0.6
    assert metrics["adapted_target.gain_over_target_target_1e-2"].value < 0
    assert metrics["same_crop.cosine"].value > 0.4
