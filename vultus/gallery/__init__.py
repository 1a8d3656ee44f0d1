"""People: enroll, identify, search, remove; and what a score means."""

from __future__ import annotations

from vultus.gallery.gallery import Gallery, open_gallery

__all__ = ["Gallery", "open_gallery"]
