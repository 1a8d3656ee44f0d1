"""The page: a fixed set of files, read once, under a policy that lets it load nothing from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["POLICY", "add"]

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
CAMERA = "camera=(self), microphone=(), geolocation=()"  # the page takes photos; nothing else is asked for
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_FOLDER = Path(__file__).with_name("page")


def add(app: Starlette, folder: Path = _FOLDER) -> None:
    """Serve `index.html` at `/` and every file at `/page/NAME`; a path that is not one of them is not looked for."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, data in files.items()}

    async def answer(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        request.scope["state"]["route"] = "/page"
        if name not in files:
            raise HTTPException(404)
        headers = {
            "Content-Security-Policy": POLICY,
            "Permissions-Policy": CAMERA,
            "Cache-Control": "no-cache",
            "ETag": tags[name],
        }
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(files[name], headers=headers, media_type=_TYPES["." + name.rpartition(".")[2]])

    app.router.routes += [Route("/", answer), Route("/page/{name:path}", answer)]
