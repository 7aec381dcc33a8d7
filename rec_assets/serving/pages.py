"""The page: one file without a framework, which may load nothing but images from elsewhere."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

INDEX = Path(__file__).parent / "page" / "index.html"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


async def index(_: Request) -> Response:
    """GET /: the page."""
    return Response(INDEX.read_bytes(), headers=HEADERS, media_type="text/html")
