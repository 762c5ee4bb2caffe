"""What a ping does."""

from __future__ import annotations

from ._budget import Budget
from ._clock import least_age_s
from ._itself import Itself
from ._log import warn
from ._ping import ANSWERED, Ping
from ._warmup_options import MOST, Warmup
from .exceptions import LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._clock import Instant
    from ._environment import Environment
    from ._fan_out import FanOut

_DEFAULT = Warmup()
_INTERVAL_S = 300.0  # between pings, until some were seen: what every warmer's manual recommends
_LEAST_S, _MOST_S = 10.0, 3600.0  # of an interval: pings of one round are one ping, and a night says nothing
_SEEN = 5  # intervals; the middle one counts
_AT_ONCE = 8  # pings that are passed on at the same time, see `_parallel`


class Warmer:
    """Answers the pings of an environment.

    Args:
        environment: the owner.

    Attributes:
        interval_s: seconds from one ping to the next, learnt from the last few.
    """

    __slots__ = ("_budget", "_environment", "_fan_out", "_intervals_s", "_last", "_told", "interval_s")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._budget = Budget(clock=environment.clock, invocation=environment.budget_s)
        self._fan_out: FanOut | None = None
        self._told: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._last: Instant | None = None
        self._intervals_s: list[float] = []
        self.interval_s = _INTERVAL_S

    def answer(
        self,
        dialect: str,
        *,
        event: Any,
        context: Any,
        warmup: Warmup | None = None,
        on_ping: Callable[[], object] | None = None,
    ) -> None:
        """Leave the environment ready for a user, and others beside it if that is asked for. Raises no `Exception`.

        Args:
            dialect: of the ping.
            event: the ping.
            context: the Lambda context.
            warmup: the options; None for the defaults.
            on_ping: the user's hook.
        """
        options = _DEFAULT if warmup is None else warmup
        now = self._environment.clock.now()
        self._learn(now)
        ping = Ping(event, dialect, options.max_concurrency)
        _guarded(self._renew, now, options.budget_s)
        if on_ping is not None:
            _guarded(_call, on_ping, ping)
        if ping.is_root and (ping.environments > 1 or ping.targets):
            _guarded(self._spread, ping, context)
        if ping.number is not None:
            _guarded(self._overlap, ping, now, options.overlap_s)

    def _learn(self, now: Instant) -> None:
        last = self._last
        since_s = _MOST_S if last is None else least_age_s(last, now)
        if since_s < _LEAST_S:
            return
        self._last = now
        if last is not None:
            self._intervals_s = [*self._intervals_s[1 - _SEEN :], min(since_s, _MOST_S)]
            self.interval_s = sorted(self._intervals_s)[len(self._intervals_s) // 2]

    def _renew(self, now: Instant, budget_s: float) -> None:
        environment = self._environment
        memory = environment.made("memory")
        if memory is None or not budget_s:
            return
        from . import _renewing  # 0.4 ms, at the first ping that may find something to renew

        ttl_s = environment.settings.ttl_s
        keys = _renewing.due(memory, ttl_s=ttl_s, now=now, within_s=self.interval_s) if ttl_s else []
        singletons = environment.made("singletons")
        if keys or singletons is not None:
            with self._budget.within(budget_s):
                if keys:
                    _guarded(_renewing.refresh, memory, keys)
                if singletons is not None:
                    _renewing.recheck(singletons, self._budget, now)

    def _spread(self, ping: Ping, context: Any) -> None:
        """Pass a ping on to other environments of this function: never to another function.

        Whoever can send an event would else decide what this function's role invokes.
        """
        itself = Itself.of(context)
        if itself is None or not self._environment.settings.in_lambda:
            return  # a test, in which nothing outside is touched
        wanted = ping.environments
        for target, environments in ping.targets:
            if target in itself.targets:
                wanted += environments - 1
            else:
                self._tell("a ping names another function as its target: %s passes pings on to itself only", itself)
        if wanted > ping.most:
            said = (
                "a ping asks for %d environments: no more than %d are kept, see lambdakit.Warmup(max_concurrency=...)"
            )
            self._tell(said, wanted, max(1, ping.most))
        environments = min(wanted, ping.most)
        if environments > 1:
            if self._fan_out is None:
                from ._fan_out import FanOut  # 3 ms with what it needs to call Lambda

                self._fan_out = FanOut(self._environment)
            self._fan_out.run(itself, environments, str(getattr(context, "aws_request_id", self._environment.id)))

    def _overlap(self, ping: Ping, began: Instant, overlap_s: float) -> None:
        """Stay busy until the other pings of the round have found this environment so.

        They are sent in the order of their numbers, so many at once: one overlap for those that are sent with this one
        and one for each lot after them.
        """
        if ping.number is None or ping.total <= 1:
            return
        total = min(ping.total, MOST)
        lots = (total - min(ping.number, total)) // _AT_ONCE
        left_s = overlap_s * (1 + lots) - least_age_s(began, self._environment.clock.now())
        allowed_s = self._environment.budget_s()
        if allowed_s is not None:
            left_s = min(left_s, allowed_s)
        if left_s > 0.0:
            self._environment.clock.sleep(left_s)

    def _tell(self, message: str, *arguments: object) -> None:
        """Warn once: pings come by the minute."""
        if message not in self._told:
            self._told.add(message)
            warn(message, *arguments)

    def drop_idle(self, now: Instant) -> None:
        """Close connections that may have died while the environment was frozen."""
        if self._fan_out is not None:
            self._fan_out.drop_idle(now)

    def close(self) -> None:
        """Close connections; what was learnt of the pings is forgotten, as it may have been before a snapshot."""
        if self._fan_out is not None:
            self._fan_out.close()
        self._forget()

    def abandon(self) -> None:
        """In a forked child: close this process's descriptors of the parent's connections, without any lock."""
        if self._fan_out is not None:
            self._fan_out.abandon()

    def __repr__(self) -> str:
        """What was learnt."""
        return f"<Warmer interval_s={self.interval_s:g}>"


def _guarded(step: Callable[..., object], *arguments: object) -> None:
    try:
        step(*arguments)
    except Exception as error:  # noqa: BLE001 - whoever sends pings can do nothing about it
        warn("ping: %s", error if isinstance(error, LambdakitError) else f"{type(error).__name__} was raised")


def _call(on_ping: Callable[[], Any], ping: Ping) -> None:
    token = ANSWERED.set(ping)
    try:
        said = on_ping()
    except LambdakitError:
        raise
    except Exception as error:  # noqa: BLE001 - the message may be anything
        warn("on_ping: %s raised %s", getattr(on_ping, "__qualname__", type(on_ping).__name__), type(error).__name__)
    else:
        if hasattr(said, "cr_code"):
            said.close()  # or Python would say that nobody has awaited it
            warn("on_ping returned a coroutine, which nobody awaits: give a function that is not `async def`")
    finally:
        ANSWERED.reset(token)
