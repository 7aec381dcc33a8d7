"""The HTTP routes, mounted into the BentoML service. Every answer is JSON, but for the pages and the event stream."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rec_assets.features.state import LiveState
from rec_assets.serving import listing, measures, openapi, pages, streaming
from rec_assets.serving.api import OPERATIONS, VERSION, Operation
from rec_assets.serving.bodies import Refused, parse, parse_query, read_body
from rec_assets.serving.changes import deleted, described, forgotten, merged
from rec_assets.serving.explain import explain as explained
from rec_assets.serving.feedback import Stored, drafts_of
from rec_assets.serving.making import Asked
from rec_assets.serving.messages import (
    Control,
    Explain,
    Found,
    KindTold,
    Listing,
    Rank,
    Recommend,
    Search,
    Similar,
    Some,
    SomeUsers,
    Vocabulary,
)
from rec_assets.serving.worker import Worker

HEADERS = {"API-Version": VERSION, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
BEARER = "bearer "
Handler = Callable[[Request], Awaitable[Response]]
logger = logging.getLogger(__name__)


class _AnyPath(PathConvertor):
    regex = "(?s:.*)"  # a line break is part of an address too: without it nobody's 404 would answer


register_url_convertor("path", _AnyPath())  # for BentoML's mount of these routes too


def reply(data: object) -> Response:
    """An answer of JSON."""
    return Response(msgspec.json.encode(data), media_type="application/json")


def answering(handler: Handler, operation: Operation | None) -> Handler:
    """Admit who may ask, turn what a handler refuses into its 4xx, what it did not foresee into a logged 500."""

    route = handler.__name__  # never the address: whoever asks for many would make as many labels

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            if operation is not None:
                _admit(request, operation)
            response = await handler(request)
        except Refused as refused:
            response = refused.answer()
            measures.rejected.labels(route, refused.status).inc()
        except Exception:
            logger.exception("%s failed", route)
            response = Refused(500, "an error of ours; it is in the service's log").answer()
        response.headers.update(HEADERS)
        measures.requests.labels(route, response.status_code).inc()
        measures.seconds.labels(route).observe(time.perf_counter() - started)
        return response

    return answer


def _admit(request: Request, operation: Operation) -> None:
    wanted, told = request.headers.get("API-Version", VERSION), request.headers.get("Authorization", "")
    if wanted != VERSION:
        raise Refused(400, f"API-Version: this is version {VERSION}, not {wanted[:20]!r}")
    secret = told[len(BEARER) :].strip() if told.lower().startswith(BEARER) else None
    _worker(request).guard.admit(operation.scope, secret, request.client.host if request.client else None)


def _worker(request: Request) -> Worker:
    worker: Worker = request.app.state.worker
    return worker


def _ready(request: Request) -> Worker:
    worker = _worker(request)
    if not worker.ready:
        raise Refused(503, "this worker is still getting warm; see /readyz")
    return worker


def _id(request: Request, name: str) -> str:
    found: str = request.path_params[name]
    if not 1 <= len(found) <= 256:
        raise Refused(422, f"{name}: 1 to 256 characters are needed", name)
    return found


async def _list(request: Request, wish: Control, k: int, among: list[str] | None = None) -> Response:
    worker = _ready(request)
    body = await worker.compute.ask(Asked(wish, k, among, time.monotonic() + worker.settings.list_seconds))
    return Response(body, media_type="application/json")


async def recommend(request: Request) -> Response:
    """POST /recommend."""
    wish = parse(await read_body(request), Recommend)
    return await _list(request, wish, wish.k)


async def rank(request: Request) -> Response:
    """POST /rank."""
    wish = parse(await read_body(request), Rank)
    return await _list(request, wish, len(wish.item_ids), wish.item_ids)


async def similar(request: Request) -> Response:
    """POST /similar: the list of a session that has had this item alone."""
    wish = parse(await read_body(request), Similar)
    if not await _ready(request).compute.run(lambda: _ready(request).engine.knows(wish.item_id)):
        raise Refused(404, f"item_id: there is no item {wish.item_id!r}", "item_id")
    session = Control(
        history_item_ids=[wish.item_id],
        filter=wish.filter,
        exclude_item_ids=[*wish.exclude_item_ids, wish.item_id],
        placement=wish.placement,
    )
    return await _list(request, session, wish.k)


async def explain(request: Request) -> Response:
    """POST /explain."""
    worker, wish = _ready(request), parse(await read_body(request), Explain)
    return reply(await worker.compute.run(lambda: explained(worker.engine, wish)))


async def _best(request: Request, value: Callable[[LiveState], Any]) -> Response:
    worker, wish = _ready(request), parse_query(request, Listing)
    return reply(Found(await worker.compute.run(lambda: worker.engine.best(value, wish.k, wish.filter))))


async def trending(request: Request) -> Response:
    """GET /trending."""
    return await _best(request, listing.trending)


async def popular(request: Request) -> Response:
    """GET /popular."""
    return await _best(request, listing.popular)


async def new(request: Request) -> Response:
    """GET /new."""
    return await _best(request, listing.new)


def _stored(stored: Stored, count: int) -> Response:
    return reply({"accepted": count - stored.repeated, "repeated": stored.repeated, "offsets": stored.offsets})


async def feedback(request: Request) -> Response:
    """POST /feedback."""
    worker = _worker(request)
    drafts = drafts_of(await read_body(request), worker.settings.kinds)
    stored = await worker.feedback.append(drafts)
    measures.events.labels("accepted").inc(len(drafts) - stored.repeated)
    measures.events.labels("repeated").inc(stored.repeated)
    return _stored(stored, len(drafts))


async def items(request: Request) -> Response:
    """GET /items."""
    worker, wish = _ready(request), parse_query(request, Search)
    return reply(Found(await worker.compute.run(lambda: worker.engine.search(wish.query, wish.k))))


async def upsert(request: Request) -> Response:
    """POST /items."""
    worker, body = _ready(request), await read_body(request)
    drafts = await worker.compute.run(lambda: merged(worker.engine, body))
    return _stored(await worker.feedback.append(drafts), len(drafts))


async def item(request: Request) -> Response:
    """GET /items/{item_id}."""
    worker, item_id = _ready(request), _id(request, "item_id")
    if not await worker.compute.run(lambda: worker.engine.knows(item_id)):
        raise Refused(404, f"there is no item {item_id!r}", "item_id")
    return reply(worker.engine.shown(item_id))


async def delete(request: Request) -> Response:
    """DELETE /items/{item_id}."""
    worker, item_id = _ready(request), _id(request, "item_id")
    drafts = await worker.compute.run(lambda: deleted(worker.engine, item_id))
    return _stored(await worker.feedback.append(drafts), len(drafts))


async def users(request: Request) -> Response:
    """GET /users."""
    worker, wish = _ready(request), parse_query(request, Some)
    return reply(SomeUsers(await worker.compute.run(lambda: worker.engine.sample_users(wish.k))))


async def describe(request: Request) -> Response:
    """POST /users."""
    worker = _worker(request)
    drafts = described(await read_body(request))
    return _stored(await worker.feedback.append(drafts), len(drafts))


async def user(request: Request) -> Response:
    """GET /users/{user_id}."""
    worker, user_id, wish = _ready(request), _id(request, "user_id"), parse_query(request, Some)
    return reply(await worker.compute.run(lambda: worker.engine.user(user_id, wish.k)))


async def forget(request: Request) -> Response:
    """DELETE /users/{user_id}."""
    worker, user_id = _ready(request), _id(request, "user_id")
    key = await worker.compute.run(lambda: worker.engine.key_in_log(user_id))
    return reply(await asyncio.to_thread(forgotten, worker.settings.log_dir, user_id, key))


async def vocabulary(request: Request) -> Response:
    """GET /vocabulary."""
    settings = _worker(request).settings
    kinds = [KindTold(name, one.weight, one.target, one.value) for name, one in settings.kinds.items()]
    return reply(Vocabulary(settings.domain, settings.train.repeats, kinds))


async def models(request: Request) -> Response:
    """GET /models."""
    worker = _ready(request)
    return reply(await asyncio.to_thread(worker.models))


async def status(request: Request) -> Response:
    """GET /status."""
    return reply(_worker(request).status())


async def events(request: Request) -> Response:
    """GET /events."""
    return streaming.answer(_worker(request))


async def hello(_: Request) -> Response:
    """GET /hello: the least an answer can cost; benchmarks measure the others beside it."""
    return Response(b'{"hello":"world"}', media_type="application/json")


async def metrics(_: Request) -> Response:
    """GET /metrics: what all workers have counted, for Prometheus."""
    return Response(await asyncio.to_thread(measures.text), media_type=measures.CONTENT_TYPE)


async def document(_: Request) -> Response:
    """GET /openapi.json: this API."""
    return Response(openapi.document(), media_type="application/json")


async def nothing(request: Request) -> Response:
    """Whatever no route takes, so that BentoML's own pages for its APIs do not answer for ours."""
    path = request.url.path
    routes = [route for route in request.app.routes[:-1] if isinstance(route, Route) and route.path_regex.match(path)]
    if routes:
        raise Refused(
            405, "this address takes another method", allow={*chain(*(each.methods or () for each in routes))}
        )
    raise Refused(404, "there is nothing at this address; /openapi.json tells what there is")


HANDLERS: dict[str, Handler] = {
    handler.__name__: handler
    for handler in (
        recommend, rank, similar, explain, trending, popular, new, feedback, items, upsert, item, delete, users,
        describe, user, forget, vocabulary, models, status, events, metrics,
    )
}  # fmt: skip


def app(cors_origins: list[str]) -> Starlette:
    """The routes as an application; `app.state.worker` is set when the service starts."""
    routes = [
        # Ids may hold slashes.
        Route(
            operation.path.replace("_id}", "_id:path}"),
            answering(HANDLERS[operation.name], operation),
            methods=[operation.method],
        )
        for operation in OPERATIONS
    ]
    allowed = [Middleware(CORSMiddleware, allow_origins=cors_origins, allow_methods=["*"], allow_headers=["*"])]
    return Starlette(
        routes=[
            *routes,
            Route("/openapi.json", document),
            Route("/hello", hello),
            *pages.routes(),
            Route(
                "/{path:path}", answering(nothing, None), methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
            ),
        ],
        middleware=allowed if cors_origins else [],
    )
