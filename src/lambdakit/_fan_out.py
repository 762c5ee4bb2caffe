"""Invoke this function again, so that as many environments of it are alive at once as a ping asks for."""

from __future__ import annotations

import json
from functools import partial

from . import _parallel
from ._budget import Budget
from ._clock import age_s
from ._log import warn
from ._ping import passed_on
from .backends.choice import against_direct
from .backends.direct import DirectBackend
from .exceptions import AccessDeniedError, LambdakitError, ThrottledError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._clock import Instant
    from ._environment import Environment
    from ._itself import Itself
    from .backends.operations import Operations

_LIMIT_S = 10.0  # for all of it: by then the invocations have begun, if they ever will, and only answers are missing
_REST_S = 10.0  # before the next: pings come by the minute, and whoever sends more would have each one multiplied


class FanOut:
    """Passes pings on. Thread-safe; no thread of it lives on when it returns.

    By Lambda's own API, whatever backend values come from: without the SDK where that is what botocore would do, see
    `backends.choice`, and with it elsewhere.

    Args:
        environment: the owner of the warmer that this is part of.
    """

    __slots__ = ("_budget", "_direct", "_environment", "_last", "_told")

    def __init__(self, environment: Environment) -> None:
        settings, clock = environment.settings, environment.clock
        self._environment = environment
        self._budget = Budget(clock=clock, invocation=environment.budget_s)
        self._direct = DirectBackend(settings=settings, clock=clock, budget=self._budget)
        self._last: Instant | None = None
        self._told: set[str] = set()

    def run(self, itself: Itself, environments: int, correlation: str) -> None:
        """Have so many environments at once, this one included. Nothing is raised: what fails is logged once.

        Each invocation but the last is one that Lambda queues; the last is waited for, which keeps this environment
        busy until all are under way.

        Args:
            itself: the function, and which version of it.
            environments: 2 or more.
            correlation: tells this round from others, in the events.
        """
        now = self._environment.clock.now()
        if self._last is not None and age_s(self._last, now) < _REST_S:
            return
        self._last = now
        tasks = [
            partial(self._invoke, itself, passed_on(number, environments, correlation), wait=number == environments)
            for number in range(2, environments + 1)
        ]
        with self._budget.within(_LIMIT_S):
            outcomes = _parallel.run(tasks)
        failed = [outcome for outcome in outcomes if outcome is not None and not _is_under_way(outcome)]
        for kind in dict.fromkeys(map(_kind, failed)):
            if kind not in self._told:
                self._told.add(kind)
                first = next(outcome for outcome in failed if _kind(outcome) == kind)
                warn("%d of %d environments were not kept warm: %s", len(failed), environments, _why(first, itself))

    def _invoke(self, itself: Itself, event: dict[str, object], *, wait: bool) -> str | None:
        backend = self._backend(itself.region)
        payload = json.dumps(event).encode()
        return backend.invoke(itself.name, payload, region=itself.region, qualifier=itself.qualifier, wait=wait)

    def _backend(self, region: str) -> Operations:
        environment = self._environment
        given = environment.given
        direct = given == "direct" or (
            given != "sdk"
            and against_direct(environment.settings.environ) is None
            and self._direct.knows("lambda", region)
        )
        if direct:
            return self._direct
        from .backends.sdk import SdkBackend  # 0.3 ms; not paid where direct does

        return SdkBackend(environment.clients)

    def drop_idle(self, now: Instant) -> None:
        """Close connections that may have died while the environment was frozen."""
        self._direct.drop_idle(now)

    def close(self) -> None:
        """Close connections, forget credentials; a later round finds both again."""
        self._direct.close()

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors of the parent's connections, without any lock."""
        self._direct.abandon()


def _is_under_way(outcome: Any) -> bool:
    """Whether only the answer is missing: an environment may take longer to begin than there is time to wait."""
    return type(getattr(outcome, "__cause__", None)).__name__ == "ReadTimeoutError"  # direct's and botocore's


def _kind(outcome: Any) -> str:
    return type(outcome).__name__


def _why(outcome: Any, itself: Itself) -> str:
    if isinstance(outcome, str):
        return f"invocations of {itself} failed ({outcome}); their log says why"
    if isinstance(outcome, AccessDeniedError):
        return f"{outcome} The role needs lambda:InvokeFunction on {itself.arn}"
    if isinstance(outcome, ThrottledError):
        return f"{outcome} Reserve more concurrency for {itself}, or lower max_concurrency"
    return str(outcome) if isinstance(outcome, LambdakitError) else _kind(outcome)
