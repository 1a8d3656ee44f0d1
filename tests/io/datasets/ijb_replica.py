"""A small set in the layout of IJB-C, of people who are angles in a plane; the picture says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# template -> (person, [(medium, angle of the face in degrees, detection score), ...])
TEMPLATES = {
    10: (1, [(1, 0, 1.0), (2, 40, 1.0), (2, 60, 1.0)]),  # a photograph and two frames of one video
    11: (2, [(3, 90, 1.0)]),
    20: (3, [(4, 180, 1.0)]),
    21: (4, [(5, 270, 1.0)]),
    30: (1, [(6, 30, 1.0)]),
    31: (2, [(7, 85, 0.5), (8, 115, 0.5)]),
    32: (3, [(9, 140, 0.9)]),
    33: (4, [(10, 200, 0.8)]),
}
PAIRS = [(10, 30, 1), (11, 31, 1), (20, 32, 1), (21, 33, 1), (10, 31, 0), (11, 30, 0), (20, 33, 0), (21, 32, 0)]
GALLERIES = {"G1": (10, 11), "G2": (20, 21)}
PROBES = (30, 31, 32, 33)


def write(root: Path, name: str = "ijbc", *, search: bool = True) -> dict[str, float]:
    """Write the set; gives the angle of each picture."""
    meta, pictures = root / "meta", root / "loose_crop"
    meta.mkdir(parents=True)
    pictures.mkdir()
    angles, owners, points = {}, [], []
    for template, (_, faces) in TEMPLATES.items():
        for medium, angle, score in faces:
            picture = f"{len(angles) + 1}.jpg"
            (pictures / picture).write_bytes(b"not looked at")
            angles[picture] = angle
            owners.append(f"{picture} {template} {medium}")
            five = " ".join(f"{value:.3f}" for value in np.arange(10) + len(angles) / 10)
            points.append(f"{picture} {five} {score}")
    _lines(meta / f"{name}_face_tid_mid.txt", owners)
    _lines(meta / f"{name}_name_5pts_score.txt", points)
    _lines(meta / f"{name}_template_pair_label.txt", [" ".join(map(str, pair)) for pair in PAIRS])
    if search:
        for label, templates in GALLERIES.items():
            _csv(meta / f"{name}_1N_gallery_{label}.csv", templates)
        _csv(meta / f"{name}_1N_probe_mixed.csv", PROBES)
    return angles


def _csv(path: Path, templates: tuple[int, ...]) -> None:
    lines = ["TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID"]
    for template in templates:
        person, faces = TEMPLATES[template]
        lines += [f"{template},{person},img/{template}_{k}.png,{k}" for k in range(len(faces))]
    _lines(path, lines)


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
