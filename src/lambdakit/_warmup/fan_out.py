"""Invoke this function again, so that as many environments of it are alive at once as a ping asks for."""

from __future__ import annotations

import json
from functools import partial

from .. import _parallel
from .._backends import Backends
from .._clock import age_s
from .._diagnostics import attribute, warn
from ..exceptions import AccessDeniedError, LambdakitError, ThrottledError
from .ping import child_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._clock import Instant
    from .._environment import Environment

_LIMIT_S = 10.0  # for all of it: by then the invocations have begun, if they ever will, and only answers are missing
_MIN_INTERVAL_S = 10.0  # between two: pings come by the minute, and whoever sends more would have each multiplied
_PARTS, _QUALIFIED = 7, 8  # arn:aws:lambda:eu-west-1:123456789012:function:name[:qualifier]


class FunctionArn:
    """This function as it was invoked, by its ARN: the alias or the version that a ping is passed on to.

    Attributes:
        arn: the whole, with the qualifier.
        region: the region.
        name: the name.
        qualifier: the version or alias; None if it was invoked without one.
        names: what it is called by where a ping names it: name or ARN, with the qualifier, the version, or neither.
    """

    __slots__ = ("arn", "name", "names", "qualifier", "region")

    def __init__(self, arn: str, region: str, name: str, qualifier: str | None, version: Any) -> None:
        self.arn = arn
        self.region = region
        self.name = name
        self.qualifier = qualifier
        self.names = (name, f"{name}:{version}", str(self), arn, arn.removesuffix(f":{qualifier}"))

    @classmethod
    def of(cls, context: Any) -> FunctionArn | None:
        """What `context` says of it; None where there is none, or one that does not know."""
        arn = attribute(context, "invoked_function_arn")
        parts = arn.split(":") if isinstance(arn, str) else []
        if len(parts) not in (_PARTS, _QUALIFIED) or not all(parts) or parts[5] != "function":
            return None
        qualifier = parts[7] if len(parts) == _QUALIFIED else None
        return cls(str(arn), parts[3], parts[6], qualifier, attribute(context, "function_version"))

    def __str__(self) -> str:
        """Name and qualifier."""
        return self.name if self.qualifier is None else f"{self.name}:{self.qualifier}"


class FanOut:
    """Passes pings on. Thread-safe; no thread of it lives on when it returns.

    By Lambda's own API, whatever backend values come from: without the SDK where that is what botocore would do.
    """

    __slots__ = ("_env", "_last", "_warned")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._last: Instant | None = None
        self._warned: set[str] = set()

    @classmethod
    def of(cls, env: Environment) -> FanOut:
        """That of an environment."""
        return cls(env)

    def run(self, function: FunctionArn, environments: int, correlation: str) -> None:
        """Have so many environments at once, this one included. Nothing is raised: what fails is logged once.

        Each invocation but the last is one that Lambda queues; the last is waited for, which keeps this environment
        busy until all are under way.

        Args:
            function: this function, and which version of it.
            environments: 2 or more.
            correlation: tells this round from others, in the events.
        """
        now = self._env.clock.now()
        if self._last is not None and age_s(self._last, now) < _MIN_INTERVAL_S:
            return
        self._last = now
        tasks = [
            partial(self._invoke, function, child_event(number, environments, correlation), wait=number == environments)
            for number in range(2, environments + 1)
        ]
        with self._env._budget.within(_LIMIT_S):
            outcomes = _parallel.run(tasks)
        failed = [outcome for outcome in outcomes if outcome is not None and not _is_under_way(outcome)]
        for kind in dict.fromkeys(map(_kind, failed)):
            if kind not in self._warned:
                self._warned.add(kind)
                first = next(outcome for outcome in failed if _kind(outcome) == kind)
                reason = _reason(first, function)
                warn("%d of %d environments were not kept warm: %s", len(failed), environments, reason)

    def _invoke(self, function: FunctionArn, event: dict[str, object], *, wait: bool) -> str | None:
        operations = self._env._parts[Backends].operations
        payload = json.dumps(event).encode()
        return operations.invoke(
            function.name, payload, region=function.region, qualifier=function.qualifier, wait=wait
        )


def _is_under_way(outcome: Any) -> bool:
    """Whether only the answer is missing: an environment may take longer to begin than there is time to wait."""
    return type(getattr(outcome, "__cause__", None)).__name__ == "ReadTimeoutError"  # direct's and botocore's


def _kind(outcome: Any) -> str:
    return type(outcome).__name__


def _reason(outcome: Any, function: FunctionArn) -> str:
    if isinstance(outcome, str):
        return f"invocations of {function} failed ({outcome}); their log says why"
    if isinstance(outcome, AccessDeniedError):
        return f"{outcome} The role needs lambda:InvokeFunction on {function.arn}"
    if isinstance(outcome, ThrottledError):
        return f"{outcome} Reserve more concurrency for {function}, or lower max_concurrency"
    return str(outcome) if isinstance(outcome, LambdakitError) else _kind(outcome)
