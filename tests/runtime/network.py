"""A network that loses requests and answers, below the SDK's own retries."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ReadTimeoutError

ALWAYS = 1_000


class Network:
    """Stands between one client and AWS.

    botocore calls the handlers of ``before-send`` for each try. moto's is one of them and does the
    work, so that a handler before it loses the request, and one after it loses the answer.
    """

    def __init__(self, client: Any) -> None:
        self.sent: list[str] = []
        """Operations in the order of their tries, lost ones included."""
        self.bodies: list[bytes] = []
        self._requests_to_lose: Counter[str] = Counter()
        self._answers_to_lose: Counter[str] = Counter()
        self._before: dict[tuple[str, int], Callable[[], object]] = {}
        client.meta.events.register_first("before-send", self._on_request)
        client.meta.events.register_last("before-send", self._on_answer)

    def lose_requests(self, operation: str, times: int = 1) -> None:
        self._requests_to_lose[operation] = times

    def lose_answers(self, operation: str, times: int = 1) -> None:
        self._answers_to_lose[operation] = times

    def before(self, operation: str, nth: int, action: Callable[[], object]) -> None:
        """Runs ``action`` before the nth try of an operation from now, counted from 1."""
        self._before[operation, self.sent.count(operation) + nth] = action

    def recover(self) -> None:
        self._requests_to_lose.clear()
        self._answers_to_lose.clear()

    def _on_request(self, request: Any, event_name: str, **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        self.sent.append(operation)
        self.bodies.append(request.body)
        action = self._before.pop((operation, self.sent.count(operation)), None)
        if action:
            action()
        self._lose(self._requests_to_lose, operation, request.url)

    def _on_answer(self, request: Any, event_name: str, **_: object) -> None:
        self._lose(self._answers_to_lose, event_name.rpartition(".")[2], request.url)

    @staticmethod
    def _lose(what: Counter[str], operation: str, url: str) -> None:
        if what[operation]:
            what[operation] -= 1
            raise ReadTimeoutError(endpoint_url=url)
