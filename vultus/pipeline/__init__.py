"""Detect, align, embed, compare: the only end-to-end code.

A pipeline names its parts by catalogue row and takes them through their contracts. One picture or many go through the
same call. Pictures are paths, bytes, Pillow images, (H, W, 3) uint8 RGB arrays, or `vultus.types.Image`.
"""

from __future__ import annotations

from vultus.pipeline._encode import PRESETS, Encoded, Parts
from vultus.pipeline._enroll import Enrollment
from vultus.pipeline._pipeline import Pipeline

__all__ = ["PRESETS", "Encoded", "Enrollment", "Parts", "Pipeline"]
