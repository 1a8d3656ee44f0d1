"""The pictures and the table of docs/guides/sim-worlds.md.

python tools/sim_worlds.py pictures docs/guides/img     draw them anew
python tools/sim_worlds.py recall --scenes 60           what the default detector finds, by size and occlusion
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.catalogue import load
from vultus.ops.boxes import iou
from vultus.sim import faces
from vultus.sim.clips import ClipSim, Driver, story
from vultus.sim.scenes import FaceScene, FaceScenes

U8 = NDArray[np.uint8]
LEVELS = ((40, 200, 60), (250, 200, 30), (230, 50, 40))  # of occlusion
BANDS = ((8, 16), (16, 32), (32, 64), (64, 128), (128, 257))


def main() -> None:
    """Draw or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("pictures").add_argument("out", type=Path)
    measure = verbs.add_parser("recall")
    measure.add_argument("--scenes", type=int, default=60)
    measure.add_argument("--detector", default="centerface")
    given = parser.parse_args()
    if given.verb == "pictures":
        pictures(given.out)
    else:
        recall(given.detector, given.scenes)


def pictures(out: Path) -> None:
    """Four JPEG files."""
    crowd = FaceScenes(n_faces=(34, 40), negatives=(3, 3), sizes=(9, 140), size_hw=(360, 640))
    save(out / "worlds-crowd.jpg", boxed(crowd.draw(rng(11))))
    save(out / "worlds-styles.jpg", styles())
    save(out / "worlds-clips.jpg", clips())
    album = story(rng(3), n_characters=3, n_scenes=6, size_hw=(140, 200))
    save(out / "worlds-story.jpg", grid([page.image for page in album.pages], 3))
    for page in album.pages:
        print(page.caption)


def styles() -> U8:
    """Operating rooms, groups, things, animals, plates."""
    theater = [
        boxed(FaceScenes(style="operating room", size_hw=(180, 300), sizes=(16, 44)).draw(rng(k))) for k in (4, 8)
    ]
    groups = [FaceScenes(style="group", size_hw=(64, 150)).draw(rng(k)).image for k in (0, 1, 2, 5)]
    odd = {"size_hw": (150, 150), "sizes": (36.0, 80.0)}
    rest = [FaceScenes(style=style, **odd).draw(rng(2)).image for style in ("things", "animals")]
    for kinds in (("plate", "sign"), ("hand", "back", "scrambled")):
        sim = FaceScenes(n_faces=(0, 0), negatives=(4, 4), negative_kinds=kinds, **odd)
        rest.append(sim.draw(rng(7)).image)
    rows = [np.concatenate(row, 1) for row in (theater, groups, rest)]
    return np.concatenate(rows)


def clips() -> U8:
    """A scene of two with a cut, one driver on two faces, and a flow."""
    sim = ClipSim(size=96)
    pair = sim.draw(rng(5), 40, people=2, cuts=1, low_quality=1)
    print(pair.caption, pair.cuts, pair.low_quality)
    first = np.concatenate([pair.frames[k] for k in (2, 11, 20, 30, 38)], 1)
    acted = Driver(3).perform(rng(1), 57)
    rows = [first]
    for seed, hair in ((2801, "long"), (2803, "short")):
        clip = sim.play(faces.person_of(seed), faces.Factors(hair_style=hair, background="office"), acted)
        rows.append(np.concatenate(list(clip.frames[::8]), 1)[:, : first.shape[1]])
    at = 27
    clean = sim.draw(rng(5), 40, people=2, cuts=1)  # the same without the segment
    flow = clean.flow(at)
    angle = np.arctan2(flow.shift[..., 1], flow.shift[..., 0])
    size = np.linalg.norm(flow.shift, axis=-1)
    hue = np.stack([(angle + np.pi) / (2 * np.pi) * 179, np.full_like(size, 255), 255 * size / size.max()], -1)
    colors = cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)
    maps = [np.repeat((kept * 255).astype(np.uint8)[..., None], 3, -1) for kept in (flow.visible, flow.exact)]
    rows.append(np.concatenate([clean.frames[at], clean.frames[at + 1], colors, *maps], 1))
    wide = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 3), (0, wide - row.shape[1]), (0, 0))) for row in rows])


def recall(name: str, count: int) -> None:
    """Recall of frontal faces by size and occlusion, and false alarms where there is no face."""
    detector = load(name)
    found = np.zeros((len(BANDS), 3, 2), int)
    sim = FaceScenes()
    for k in range(count):
        scene = sim.draw(rng(k))
        boxes = detector.detect([scene.image], min_score=0.6)[0].boxes
        for i, box in enumerate(scene.boxes):
            height = float(scene.whole_boxes[i, 3] - scene.whole_boxes[i, 1])
            if np.abs(scene.pose_deg[i]).max() > 30 or scene.wider[i, 0] == 2 or scene.wider[i, 2] or scene.wider[i, 3]:
                continue
            band = next(b for b, (low, high) in enumerate(BANDS) if height < high or high == BANDS[-1][1])
            hit = bool(len(boxes)) and bool((iou(box[None], boxes) > 0.4).any())
            found[band, scene.occlusion[i]] += (hit, 1)
    for (low, high), row in zip(BANDS, found, strict=True):
        cells = " | ".join(f"{hit} of {total}" for hit, total in row)
        print(f"| {low} to {high - 1} | {cells} |")
    for style in ("things", "animals"):
        scenes = [FaceScenes(style=style).draw(rng(k)) for k in range(count)]
        alarms = sum(len(detector.detect([s.image], min_score=0.6)[0]) for s in scenes)
        print(f"{style}: {alarms} detections in {count} pictures of {sum(len(s.things) for s in scenes)}")


def rng(seed: int) -> np.random.Generator:
    """Random numbers of a seed."""
    return np.random.default_rng(seed)


def boxed(scene: FaceScene) -> U8:
    """The picture with a frame around every face, in the color of its occlusion."""
    out = scene.image.copy()
    for box, level in zip(scene.boxes, scene.occlusion, strict=True):
        x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
        cv2.rectangle(out, (x1, y1), (x2, y2), LEVELS[level], 1)
    return out


def grid(tiles: list[U8], columns: int) -> U8:
    """Tiles of one size in rows."""
    return np.concatenate([np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)])


def save(path: Path, picture: U8) -> None:
    """As JPEG."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not done:
        raise SystemExit(f"{path}: cannot be encoded")
    path.write_bytes(data.tobytes())
    print(path, picture.shape, len(data))


if __name__ == "__main__":
    main()
