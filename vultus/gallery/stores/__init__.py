"""Where people are kept: one file per kind of store, all with the calls of `SqliteStore`."""

from __future__ import annotations
