"""The HTTP routes, mounted into the BentoML service. Every answer is JSON, but for the page and the event stream."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rec_assets.serving import measures
from rec_assets.serving.feedback import drafts_of
from rec_assets.serving.messages import Refused, parse_recommend, read_body
from rec_assets.serving.worker import Worker

PAGE = Path(__file__).parent / "page" / "index.html"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
STREAM_SECONDS = 0.5  # how often the event stream looks for something new
SILENCE_SECONDS = 15.0  # after which it says something, so that proxies keep it open
STREAMS_LIMIT = 100
Handler = Callable[[Request], Awaitable[Response]]
logger = logging.getLogger(__name__)
_streams = 0


def reply(data: object) -> Response:
    """An answer of JSON."""
    return Response(msgspec.json.encode(data), media_type="application/json")


def answering(handler: Handler) -> Handler:
    """Turn what a handler refuses into its 4xx, what it did not foresee into a logged 500, and measure both."""

    route = handler.__name__  # never the address: whoever asks for many would make as many labels

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await handler(request)
        except Refused as refused:
            response = refused.answer()
            measures.rejected.labels(route, refused.status).inc()
        except Exception:
            logger.exception("%s failed", route)
            response = Refused(500, "an error of ours; it is in the service's log").answer()
        measures.requests.labels(route, response.status_code).inc()
        measures.seconds.labels(route).observe(time.perf_counter() - started)
        return response

    return answer


def _worker(request: Request) -> Worker:
    worker: Worker = request.app.state.worker
    return worker


def _ready(request: Request) -> Worker:
    worker = _worker(request)
    if not worker.ready:
        raise Refused(503, "this worker is still getting warm; see /readyz")
    return worker


@answering
async def recommend(request: Request) -> Response:
    """POST /recommend: the list for a user or for a history told in the request."""
    worker, wish = _ready(request), parse_recommend(await read_body(request))
    body = await worker.compute.run(lambda: worker.list_for(wish))
    return Response(body, media_type="application/json")


@answering
async def feedback(request: Request) -> Response:
    """POST /feedback: one event or a list of at most 1,000; on the disk when this is answered."""
    worker = _worker(request)
    drafts = drafts_of(await read_body(request), worker.settings.kinds)
    stored = await worker.feedback.append(drafts)
    measures.events.labels("accepted").inc(len(drafts) - stored.repeated)
    measures.events.labels("repeated").inc(stored.repeated)
    accepted = len(drafts) - stored.repeated
    return reply({"accepted": accepted, "repeated": stored.repeated, "offsets": stored.offsets})


@answering
async def status(request: Request) -> Response:
    """GET /status: what is served, how far the log is read, and what the pipeline last published."""
    return reply(_worker(request).status())


@answering
async def items(request: Request) -> Response:
    """GET /api/items?query=&limit=: items whose title or categories hold every word."""
    worker, query, limit = _ready(request), request.query_params.get("query", "")[:256], _number(request, "limit", 12)
    return reply({"items": await worker.compute.run(lambda: worker.engine.search(query, limit))})


@answering
async def users(request: Request) -> Response:
    """GET /api/users?sample=: some users, with how many events they have."""
    worker, sample = _ready(request), _number(request, "sample", 12)
    return reply({"users": await worker.compute.run(lambda: worker.engine.sample_users(sample))})


@answering
async def history(request: Request) -> Response:
    """GET /api/history?user_id=&limit=: what a user did last, newest first."""
    worker, user, limit = _ready(request), request.query_params.get("user_id", ""), _number(request, "limit", 12)
    if not 1 <= len(user) <= 256:
        raise Refused(422, "user_id: 1 to 256 characters are needed", "user_id")
    return reply({"items": await worker.compute.run(lambda: worker.engine.history(user, limit))})


@answering
async def events(request: Request) -> Response:
    """GET /events: server-sent events of what /status says, whenever it has changed."""
    if _streams >= STREAMS_LIMIT:
        raise Refused(429, f"{STREAMS_LIMIT} event streams are open already")
    return StreamingResponse(
        _stream(_worker(request)), headers={"Cache-Control": "no-store"}, media_type="text/event-stream"
    )


async def _stream(worker: Worker) -> AsyncIterator[bytes]:
    global _streams
    _streams += 1
    try:
        last, said_at = b"", time.monotonic()
        while not worker.stopping:
            status = worker.status()
            told = msgspec.json.encode({key: value for key, value in status.items() if key != "now"})
            if told != last:
                last, said_at = told, time.monotonic()
                yield b"event: status\ndata: " + msgspec.json.encode(status) + b"\n\n"
            elif time.monotonic() - said_at > SILENCE_SECONDS:
                said_at = time.monotonic()
                yield b": still here\n\n"
            await asyncio.sleep(STREAM_SECONDS)
    finally:
        _streams -= 1


async def page(_: Request) -> Response:
    """GET /: the page."""
    return Response(PAGE.read_bytes(), headers=PAGE_HEADERS, media_type="text/html")


async def hello(_: Request) -> Response:
    """GET /hello: the least an answer can cost; benchmarks measure the others beside it."""
    return Response(b'{"hello":"world"}', media_type="application/json")


async def metrics(_: Request) -> Response:
    """GET /metrics: what all workers have counted, for Prometheus."""
    return Response(await asyncio.to_thread(measures.text), media_type=measures.CONTENT_TYPE)


@answering
async def nothing(request: Request) -> Response:
    """Whatever no route takes, so that BentoML's own pages for its APIs do not answer for ours."""
    addresses = {route.path for route in request.app.routes if isinstance(route, Route)}
    if request.url.path in addresses:
        raise Refused(405, "this address takes another method")
    raise Refused(404, "there is nothing at this address")


def _number(request: Request, field: str, default: int) -> int:
    text = request.query_params.get(field, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100):
        raise Refused(422, f"{field}: an integer from 1 to 100 is needed", field)
    return int(text)


def app() -> Starlette:
    """The routes as an application; `app.state.worker` is set when the service starts."""
    return Starlette(
        routes=[
            Route("/recommend", recommend, methods=["POST"]),
            Route("/feedback", feedback, methods=["POST"]),
            Route("/status", status),
            Route("/events", events),
            Route("/api/items", items),
            Route("/api/users", users),
            Route("/api/history", history),
            Route("/metrics", metrics),
            Route("/hello", hello),
            Route("/", page),
            Route("/{path:path}", nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        ]
    )
