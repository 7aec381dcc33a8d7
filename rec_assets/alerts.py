"""Alerts as JSON to a webhook, from a thread of their own: who raises one never waits, and never fails by it."""

import logging
import threading
import time
from typing import Any, Literal

import httpx

from rec_assets.settings import Settings

TRIES, FIRST_WAIT_SECONDS, TIMEOUT_SECONDS = 3, 0.5, 2.0
IN_FLIGHT = 8  # alerts that are being sent; more are dropped, and that is logged
Kind = Literal["freshness broken", "freshness kept again", "rolled back", "refused", "drift"]
logger = logging.getLogger(__name__)
_slots = threading.BoundedSemaphore(IN_FLIGHT)


def raise_alert(settings: Settings, kind: Kind, text: str, **figures: Any) -> threading.Thread | None:
    """Send {"kind", "text", "at" (µs, UTC), "figures"} to the webhook, if one is set; the thread that does, or None."""
    logger.warning("%s: %s", kind, text)
    if not settings.alerts.webhook:
        return None
    if not _slots.acquire(blocking=False):
        logger.error("%d alerts are being sent already: %s was not sent", IN_FLIGHT, kind)
        return None
    body = {"kind": kind, "text": text, "at": time.time_ns() // 1_000, "figures": figures}
    thread = threading.Thread(target=_send, args=(settings.alerts.webhook, body), name="alert")
    thread.start()
    return thread


def _send(url: str, body: dict[str, Any]) -> None:
    try:
        for number in range(TRIES):
            if number:
                time.sleep(FIRST_WAIT_SECONDS * 4 ** (number - 1))
            try:
                reply = httpx.post(url, json=body, timeout=TIMEOUT_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = str(error)
                continue
            if reply.status_code < 500:
                if reply.status_code >= 400:
                    logger.error("the webhook refused the alert %r: %d", body["kind"], reply.status_code)
                return
            problem = f"it answered {reply.status_code}"
        logger.error("the alert %r could not be sent to the webhook in %d tries: %s", body["kind"], TRIES, problem)
    finally:
        _slots.release()
