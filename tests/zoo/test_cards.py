import re

import pytest

from vultus.errors import UnknownMethod
from vultus.zoo.cards import card, cards, pack, packs
from vultus.zoo.convert import registry

COMMERCIAL = {"yes", "no", "unclear"}


def test_every_card_is_complete():
    for item in cards().values():
        assert item.commercial in COMMERCIAL, item.id
        assert item.channel_order in ("RGB", "BGR"), item.id
        assert item.source.kind in ("wheel", "npm", "hub", "url", "file"), item.id
        assert item.sha256 == "" or re.fullmatch("[0-9a-f]{64}", item.sha256), item.id
        assert all(value > 0 for value in item.std), item.id
        assert item.license, item.id
        assert item.convert is None or item.convert in registry.CONVERTERS, item.id
        assert item.crop is None or item.input_hw == item.crop.size_hw, item.id
        assert item.kind != "embedder" or not item.runs or (item.dim and item.crop), item.id
        assert item.kind != "detector" or not item.runs or item.threshold or not item.sha256, item.id


def test_weights_are_told_apart_by_their_sha256():
    known = [item.sha256 for item in cards().values() if item.sha256]
    assert len(known) == len(set(known))


def test_wheel_and_npm_cards_are_pinned():
    for item in cards().values():
        if item.source.kind in ("wheel", "npm"):
            assert item.source.version, item.id
            assert item.source.path, item.id
            assert item.sha256, item.id
            assert item.size_bytes, item.id


def test_packs():
    assert packs() == {"default": ("centerface", "dlib_resnet29"), "accurate": ("fr_feature", "facemesh")}
    assert {item.commercial for item in pack("default")} == {"yes"}
    assert [item.id for item in pack("sface")] == ["sface"]


def test_pinned_facts():
    """From the list of measured models: bytes, order and scale that a wrong edit would break silently."""
    dlib, accurate, casia = card("dlib_resnet29"), card("fr_feature"), card("mobilefacenet_casia")
    assert dlib.sha256.startswith("55533b28a95800a5")
    assert (dlib.mean, dlib.std, dlib.dim, dlib.crop.size_hw) == ((0, 0, 0), (1, 1, 1), 128, (150, 150))
    assert (accurate.channel_order, accurate.mean[0], accurate.std[0], accurate.dim) == ("RGB", 127.0, 128.0, 512)
    assert (casia.input_hw, casia.mean[0], casia.std[0], casia.flip) == ((112, 96), 127.5, 128.0, True)
    assert card("adaface_ir_50").channel_order == "BGR"
    assert card("arcface_resnet").commercial == "no"
    assert card("retinaface_mobile025").mean == (104.0, 117.0, 123.0)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UnknownMethod, match="centerface"):
        card("centrface")
    with pytest.raises(UnknownMethod, match="default"):
        pack("defualt")


def test_families_leave_no_trace():
    assert "family" not in cards()
    assert card("scrfd_10g").license == card("scrfd_500m").license
