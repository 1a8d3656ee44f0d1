"""Sets of pictures with boxes: imitations in the published layouts, and the real sets' counts."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError, StoreError
from vultus.io.datasets import boxes as sets
from vultus.io.images import write

PICTURE = np.zeros((20, 30, 3), np.uint8)


def table(root, text):
    (root / "images").mkdir(parents=True)
    (root / "boxes.csv").write_text(text)
    for line in text.splitlines()[1:]:
        write(root / "images" / line.split(",")[0].replace(".jpg", ".png"), PICTURE)


def test_wider_scales_x_and_y_apart(tmp_path):
    table(tmp_path, "image,orig_w,orig_h,x1,y1,x2,y2\nb.png,1024,684,512.0,171.0,1024.0,342.0\na.png,416,416,1,2,3,4\n")
    made = sets.wider_val416(tmp_path)
    assert [picture.path.name for picture in made.pictures] == ["a.png", "b.png"]
    np.testing.assert_allclose(made.pictures[1].boxes, [(208, 104, 416, 208)])
    np.testing.assert_allclose(made.pictures[0].boxes, [(1, 2, 3, 4)])
    read, boxes = next(iter(made))
    assert read().shape == (20, 30, 3)
    assert boxes.shape == (1, 4)


def test_human_faces_lists_every_box_once(tmp_path):
    table(tmp_path, "image,x,y,w,h\na.png,1,2,10,20\na.png,4,4,5,6\na.png,1,2,10,20\n")
    (picture,) = sets.human_faces_detection(tmp_path).pictures
    np.testing.assert_allclose(picture.boxes, [(1, 2, 11, 22), (4, 4, 9, 10)])


def test_dlib_boxes_are_left_top_width_height(tmp_path):
    box = "<box top='3' left='5' width='10' height='20'/>"
    image = f"<dataset><images><image file='{{}}.jpg'>{box}{{}}</image></images></dataset>"
    (tmp_path / "testing.xml").write_text(image.format("a", "<box top='0' left='0' width='9' height='9' ignore='1'/>"))
    (tmp_path / "training.xml").write_text(image.format("b", ""))
    made = sets.dlib_faces(tmp_path)
    assert [picture.path.name for picture in made.pictures] == ["a.jpg", "b.jpg"]
    np.testing.assert_allclose(made.pictures[0].boxes, [(5, 3, 15, 23)])


def test_noise_has_no_face(tmp_path):
    write(tmp_path / "n.png", PICTURE)
    (picture,) = sets.pareidolia_noise(tmp_path).pictures
    assert picture.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "load", [sets.wider_val416, sets.human_faces_detection, sets.dlib_faces, sets.pareidolia_noise]
)
def test_a_missing_set_is_said_in_words(load, tmp_path):
    with pytest.raises(StoreError, match="expected"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "says"), [("image,x\na.png,1\n", "expected the columns"), ("image,x,y,w,h\na.png,1,2,wide,4\n", "line 2")]
)
def test_a_table_of_another_layout_is_refused(text, says, tmp_path):
    table(tmp_path, text)
    with pytest.raises(InputError, match=says):
        sets.human_faces_detection(tmp_path)


def test_broken_xml_is_refused(tmp_path):
    (tmp_path / "testing.xml").write_text("<dataset>")
    with pytest.raises(InputError, match="expected XML"):
        sets.dlib_faces(tmp_path)
    (tmp_path / "testing.xml").write_text("<dataset><image file='a'><box top='x'/></image></dataset>")
    with pytest.raises(InputError, match="a number in left"):
        sets.dlib_faces(tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pictures", "faces"),
    [
        ("wider_val416", 100, 1955),
        ("human_faces_detection", 63, 112),
        ("dlib_faces", 9, 43),
        ("pareidolia_noise", 24, 0),
    ],
)
def test_the_real_sets(data_dir, name, pictures, faces):
    made = getattr(sets, name)(data_dir / name)
    assert len(made) == pictures
    assert sum(len(picture.boxes) for picture in made.pictures) == faces
    assert all((picture.boxes[:, 2:] >= picture.boxes[:, :2]).all() for picture in made.pictures)
