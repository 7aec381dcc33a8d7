"""The two pages, for people who look for something and for who runs the service: plain files, no framework, no build.

They load nothing from elsewhere and hold no inline script or style, and the browser is told so.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"
PAGES = {"/": "index.html", "/operators": "operators.html"}
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304 while it is the same
}


class _File(NamedTuple):
    content: bytes
    kind: str
    tag: str


def _read(name: str) -> _File:
    path = FOLDER / name
    content = path.read_bytes()
    return _File(content, KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def routes() -> list[Route]:
    """GET of each page and of each file that they are made of; the files are read now, and no request names a path."""
    named = {f"/page/{path.name}": path.name for path in FOLDER.iterdir() if path.suffix in (".css", ".js")}
    return [_route(address, _read(name)) for address, name in sorted((PAGES | named).items())]


def _route(address: str, file: _File) -> Route:
    async def answer(request: Request) -> Response:
        headers = {**HEADERS, "ETag": file.tag}
        if request.headers.get("If-None-Match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.kind)

    return Route(address, answer)
