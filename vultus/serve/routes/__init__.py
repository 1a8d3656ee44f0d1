"""The routes, one file per noun."""

from __future__ import annotations

from fastapi import FastAPI

from vultus.serve.routes import health, jobs, keys, models, pictures

__all__ = ["add_all"]


def add_all(app: FastAPI) -> None:
    """Add every route."""
    for router in (*(noun.router for noun in (health, models, pictures, jobs, keys)), health.plain):
        app.router.routes += router.routes  # as they are: every route of `app.routes` is one of ours
