"""What a ping does: what would expire before the next one is renewed while no user waits, and the ping is passed on."""

from __future__ import annotations

from .._clock import least_age_s
from .._diagnostics import attribute, close_coroutine, function_name, log_exceptions, warn
from .._environment import lambda_context
from ..exceptions import LambdakitError
from . import EMPTY, PLUGIN, SCHEDULE, THUNDRA, WARMER, ZAPPA
from .options import MAX_ENVIRONMENTS, Warmup
from .ping import ANSWERED, Ping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clock import Instant
    from .._environment import Environment, HandlerOptions

_DEFAULTS = Warmup()
_INTERVAL_S = 300.0  # between pings, until some were seen: what every warmer's manual recommends
_MIN_INTERVAL_S, _MAX_INTERVAL_S = 10.0, 3600.0  # pings of one round are one ping, and a night says nothing
_INTERVALS = 5  # that are remembered; the median counts
_AT_ONCE = 8  # pings that are passed on at the same time, see `_parallel`

# For how long a ping that may be one of several keeps its environment busy, in seconds, as the warmers' manuals have
# it. Who sends one at a time is at 0; of a predicate of the user's nobody knows, so it is as short as the shortest.
_OVERLAPS_S = {WARMER: 0.075, PLUGIN: 0.025, THUNDRA: 0.09, EMPTY: 0.1, ZAPPA: 0.0, SCHEDULE: 0.0}
_OVERLAP_S = 0.025
_MAX_WAIT_S = 1.0  # of what an event asks for: anybody may have sent it


def answer(env: Environment, context: Any, *, dialect: str, event: Any, options: HandlerOptions) -> dict[str, str]:
    """The answer to a ping, which leaves the environment as ready as an invocation would, and others beside it.

    Raises no `Exception`: whoever sends pings can do nothing about it.

    Args:
        env: that is kept warm.
        context: the Lambda context.
        dialect: of the ping.
        event: the ping.
        options: of the handler.
    """
    invocation = env._begin(context, options, is_ping=True)
    try:
        env._parts[Warmer].answer(dialect, event, context, invocation.started, options)
    finally:
        env._leave(invocation)
    return {"ping": dialect, "environment": env.id}


class Warmer:
    """What an environment has learnt of its pings.

    Attributes:
        interval_s: seconds from one ping to the next, learnt from the last few.
    """

    __slots__ = ("_env", "_intervals_s", "_last", "_warned", "interval_s")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._warned: set[str] = set()
        self._forget()

    @classmethod
    def of(cls, env: Environment) -> Warmer:
        """That of an environment."""
        return cls(env)

    def _forget(self) -> None:
        self._last: Instant | None = None
        self._intervals_s: list[float] = []
        self.interval_s = _INTERVAL_S

    def answer(self, dialect: str, event: Any, context: Any, now: Instant, options: HandlerOptions) -> None:
        """Do what a ping asks for."""
        warmup: Warmup = _DEFAULTS if options.warmup is None else options.warmup
        if self._learn(now) and warmup.budget_s:
            with self._env._budget.within(warmup.budget_s):
                for hook in self._env._parts.on_ping:
                    log_exceptions("ping", hook, now, self.interval_s)
        if dialect == WARMER and options.on_ping is None and type(event) is dict and len(event) == 1:
            return  # it asks for no more
        ping = Ping(event, dialect, warmup.max_concurrency)
        if options.on_ping is not None:
            log_exceptions("ping", _call, options.on_ping, ping)
        if ping.may_fan_out and (ping.environments > 1 or ping.targets):
            log_exceptions("ping", self._fan_out, ping, context)
        overlap_s = warmup.overlap_s
        if overlap_s is None:
            overlap_s = _OVERLAPS_S.get(dialect, _OVERLAP_S) + ping.wait_s(_MAX_WAIT_S)
        log_exceptions("ping", self._overlap, ping, dialect, now, overlap_s)

    def _learn(self, now: Instant) -> bool:
        """Whether this is a ping by itself, and not another one of the same round; then the interval is known."""
        last = self._last
        since_s = _MAX_INTERVAL_S if last is None else least_age_s(last, now)
        if since_s < _MIN_INTERVAL_S:
            return False
        self._last = now
        if last is not None:
            self._intervals_s = [*self._intervals_s[1 - _INTERVALS :], min(since_s, _MAX_INTERVAL_S)]
            self.interval_s = sorted(self._intervals_s)[len(self._intervals_s) // 2]
        return True

    def _fan_out(self, ping: Ping, context: Any) -> None:
        """Pass a ping on to other environments of this function: never to another function.

        Whoever can send an event would else decide what this function's role invokes.
        """
        if not self._env.settings.in_lambda:
            return  # a test, in which nothing outside is touched
        from .fan_out import FanOut, FunctionArn  # 3 ms with what it needs to call Lambda

        context = lambda_context(context)
        function = FunctionArn.of(context)
        if function is None:
            return
        wanted = ping.environments
        for target, environments in ping.targets:
            if target in function.names:
                wanted += environments - 1
            else:
                self._warn_once(
                    "a ping names another function as its target: %s passes pings on to itself only", function
                )
        if wanted > ping.limit:
            self._warn_once(
                "a ping asks for %d environments: no more than %d are kept, see lambdakit.Warmup(max_concurrency=...)",
                wanted,
                max(1, ping.limit),
            )
        environments = min(wanted, ping.limit)
        if environments > 1:
            correlation = str(attribute(context, "aws_request_id") or self._env.id)
            self._env._parts[FanOut].run(function, environments, correlation)

    def _overlap(self, ping: Ping, dialect: str, began: Instant, overlap_s: float) -> None:
        """Stay busy until the other pings of the round have found this environment so.

        Those that a function passes on are sent in the order of their numbers, so many at once: one overlap for those
        that are sent with this one and one for each lot after them.
        """
        lots = 0
        if dialect == WARMER:
            if ping.number is None or ping.total <= 1:
                return
            total = min(ping.total, MAX_ENVIRONMENTS)
            lots = (total - min(ping.number, total)) // _AT_ONCE
        left_s = overlap_s * (1 + lots) - least_age_s(began, self._env.clock.now())
        allowed_s = self._env._budget()
        if allowed_s is not None:
            left_s = min(left_s, allowed_s)
        if left_s > 0.0:
            self._env.clock.sleep(left_s)

    def _warn_once(self, message: str, *arguments: object) -> None:
        """Warn once: pings come by the minute."""
        if message not in self._warned:
            self._warned.add(message)
            warn(message, *arguments)

    def close(self) -> None:
        """What was learnt of the pings is forgotten, as it may have been before a snapshot."""
        self._forget()

    def __repr__(self) -> str:
        """What was learnt."""
        return f"<Warmer interval_s={self.interval_s:g}>"


def _call(on_ping: Callable[[], Any], ping: Ping) -> None:
    token = ANSWERED.set(ping)
    try:
        answer = on_ping()
    except LambdakitError:
        raise
    except Exception as error:  # noqa: BLE001 - the message may be anything
        warn("on_ping: %s raised %s", function_name(on_ping), type(error).__name__)
    else:
        if close_coroutine(answer):
            warn("on_ping returned a coroutine, which nobody awaits: give a function that is not `async def`")
    finally:
        ANSWERED.reset(token)
