"""The routes, one file per noun."""

from __future__ import annotations

from fastapi import FastAPI

from vultus.serve.routes import (
    clusters,
    corrections,
    faces,
    health,
    identify,
    jobs,
    keys,
    models,
    operation,
    people,
    pictures,
)

__all__ = ["add_all"]


def add_all(app: FastAPI) -> None:
    """Add every route."""
    for router in (
        *(
            noun.router
            for noun in (
                health,
                models,
                pictures,
                identify,
                people,
                faces,
                clusters,
                corrections,
                operation,
                jobs,
                keys,
            )
        ),
        health.plain,
    ):
        app.router.routes += router.routes  # as they are: every route of `app.routes` is one of ours
