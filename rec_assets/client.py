"""A small typed client of the service.

with Recommender("http://127.0.0.1:3000", key=os.environ["REC_KEY"]) as service:
    shown = service.recommend("42", k=5, filter='"Comedy" in categories')
    service.feedback("42", "click", shown.items[0].item_id, request_id=shown.request_id)
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from rec_assets.serving import messages

T = TypeVar("T")


class ServiceError(Exception):
    """What the service refused: the HTTP status, what is wrong, and the field where it names one."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.field = status, message, field


class Recommender:
    """One service. Keeps its connections; use it as a context manager, or call `close`.

    Every method raises ServiceError for what the service refuses and httpx.HTTPError where it cannot be reached.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 5.0) -> None:
        """`url`: where the service is; `key`: an API key; `timeout` in seconds."""
        headers = {"API-Version": "1"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> "Recommender":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def recommend(self, user_id: str, k: int = 10, **control: Any) -> messages.Recommended:
        """The best k items for a user. `control`: the further fields of messages.Recommend, such as filter or caps."""
        return self._post("/recommend", {"user_id": user_id, "k": k, **control}, messages.Recommended)

    def session(self, history_item_ids: Iterable[str], k: int = 10, **control: Any) -> messages.Recommended:
        """The best k items for somebody who has had these items, oldest first."""
        wish = {"history_item_ids": list(history_item_ids), "k": k, **control}
        return self._post("/recommend", wish, messages.Recommended)

    def rank(self, user_id: str, item_ids: Iterable[str], **control: Any) -> messages.Recommended:
        """These items, best first; without those that are not known or not allowed."""
        return self._post("/rank", {"user_id": user_id, "item_ids": list(item_ids), **control}, messages.Recommended)

    def similar(self, item_id: str, k: int = 10, **control: Any) -> messages.Recommended:
        """What goes with an item."""
        return self._post("/similar", {"item_id": item_id, "k": k, **control}, messages.Recommended)

    def explain(self, user_id: str, item_id: str) -> messages.Explained:
        """Why an item would be recommended."""
        return self._post("/explain", {"user_id": user_id, "item_id": item_id}, messages.Explained)

    def feedback(self, user_id: str, event: str, item_id: str | None = None, **more: Any) -> messages.Stored:
        """Something happened. `more`: event_id, value, occurred_at, request_id, context."""
        return self.feedback_all([{"user_id": user_id, "event": event, "item_id": item_id, **more}])

    def feedback_all(self, events: Iterable[Mapping[str, Any]]) -> messages.Stored:
        """At most 1,000 events, all or none; on the service's disk when this returns."""
        return self._post("/feedback", list(events), messages.Stored)

    def upsert(self, *items: Mapping[str, Any]) -> messages.Stored:
        """Add or change items; each names its item_id. What is None is taken away, what is left out stays."""
        return self._post("/items", list(items), messages.Stored)

    def delete(self, item_id: str) -> messages.Stored:
        """Take an item out of all lists."""
        return self._asked("DELETE", f"/items/{quote(item_id, safe='')}", messages.Stored)

    def describe(self, *users: Mapping[str, Any]) -> messages.Stored:
        """What is said of users, in place of what was said before; each names its user_id."""
        return self._post("/users", list(users), messages.Stored)

    def item(self, item_id: str) -> messages.Shown:
        """An item as a card shows it."""
        return self._asked("GET", f"/items/{quote(item_id, safe='')}", messages.Shown)

    def search(self, query: str, k: int = 10) -> list[messages.Shown]:
        """Items whose title, categories or names hold every word."""
        return self._asked("GET", "/items", messages.Found, params={"query": query, "k": k}).items

    def popular(self, k: int = 10, filter: str | None = None) -> list[messages.Shown]:  # noqa: A002 - the field's name
        """Popular items."""
        return self._listed("/popular", k, filter)

    def trending(self, k: int = 10, filter: str | None = None) -> list[messages.Shown]:  # noqa: A002
        """Items that become popular."""
        return self._listed("/trending", k, filter)

    def new(self, k: int = 10, filter: str | None = None) -> list[messages.Shown]:  # noqa: A002
        """New items, the newest first."""
        return self._listed("/new", k, filter)

    def user(self, user_id: str, k: int = 10) -> messages.User:
        """What is known of a user, with the k newest items of the history."""
        return self._asked("GET", f"/users/{quote(user_id, safe='')}", messages.User, params={"k": k})

    def forget(self, user_id: str) -> messages.Forgotten:
        """Forget a user: lists know nothing of them when this returns, files when the pipeline has worked it off."""
        return self._asked("DELETE", f"/users/{quote(user_id, safe='')}", messages.Forgotten)

    def vocabulary(self) -> messages.Vocabulary:
        """What feedback may say in this installation."""
        return self._asked("GET", "/vocabulary", messages.Vocabulary)

    def models(self) -> messages.Models:
        """The checkpoint that is served and those that are kept."""
        return self._asked("GET", "/models", messages.Models)

    def status(self) -> dict[str, Any]:
        """What is served and how fresh it is."""
        return self._asked("GET", "/status", dict[str, Any])

    def _listed(self, path: str, k: int, text: str | None) -> list[messages.Shown]:
        params = {"k": k} | ({"filter": text} if text else {})
        return self._asked("GET", path, messages.Found, params=params).items

    def _post(self, path: str, body: object, kind: type[T]) -> T:
        return self._asked("POST", path, kind, content=msgspec.json.encode(body))

    def _asked(self, method: str, path: str, kind: type[T], **given: Any) -> T:
        answer = self._http.request(method, path, **given)
        if answer.status_code == 200:
            return msgspec.json.decode(answer.content, type=kind)
        try:
            problem = msgspec.json.decode(answer.content, type=messages.Failure).error
        except msgspec.DecodeError:
            raise ServiceError(answer.status_code, answer.text[:200]) from None
        raise ServiceError(answer.status_code, problem.message, problem.field)
