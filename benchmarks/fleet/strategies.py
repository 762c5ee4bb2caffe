"""Strategies: the calls that an environment makes until it has its values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .limits import SERVICES

PARAMETERS, SECRETS = 10, 3  # of each environment; each of them is one batch
SPREAD_S = 0.05  # what lambdakit waits at most before a managed instance's first call to Parameter Store
EARLY = 0.1  # the most by which lambdakit shortens a ttl
PROCESSES = 16  # of a managed instance: Lambda's default for Python and one vCPU


@dataclass(frozen=True, slots=True)
class Step:
    """One call, which brings one value or a batch of them.

    Attributes:
        operation: of the API.
        later: of a preload's batch: the calls by which its handler asks for the same values.
    """

    operation: str
    later: tuple[Step, ...] = ()

    @property
    def service(self) -> str:
        """Whose operation it is: retries have one quota for each service."""
        return SERVICES[self.operation]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """The calls of an environment, and how it repeats them.

    Attributes:
        name: in tables and figures.
        steps: what has to be answered until an invocation can succeed, in this order. An invocation ends at the first
            that is not; what was answered is kept.
        preload: all of `steps` in INIT, whatever fails. An invocation begins with those that have not come, then asks
            for what is still missing as `later` of the step says.
        early: the most by which a ttl is shortened, as a share of it.
        processes: how many start at the same moment and keep values of their own.
        spread_s: what each of them waits at most before its first call.
        jitter: whether the wait before another attempt is drawn from 0 up to the back-off, or is all of it.
    """

    name: str
    steps: tuple[Step, ...]
    preload: bool = False
    early: float = EARLY
    processes: int = 1
    spread_s: float = 0.0
    jitter: bool = True

    @property
    def invocations_batch(self) -> bool:
        """Whether the code of a handler asks for parameters by GetParameters."""
        calls = self.steps[0].later if self.preload else self.steps
        return calls[0].operation == "GetParameters"


_PARAMETER, _SECRET = Step("GetParameter"), Step("GetSecretValue")
_EACH_PARAMETER, _EACH_SECRET = (_PARAMETER,) * PARAMETERS, (_SECRET,) * SECRETS
_ALL_PARAMETERS = Step("GetParameters", _EACH_PARAMETER)
_ALL_SECRETS = Step("BatchGetSecretValue", _EACH_SECRET)

SINGLE = Strategy(name="single gets", steps=_EACH_PARAMETER + _EACH_SECRET)
BATCHES = Strategy(name="batches", steps=(_ALL_PARAMETERS, _ALL_SECRETS))
PRELOAD = replace(BATCHES, name="preload", preload=True)
# What is in memory is not asked for again: a batch in the handler is for what no preload brought.
PRELOAD_BATCHES = replace(
    PRELOAD,
    name="preload, read in batches",
    steps=tuple(replace(step, later=(step,)) for step in BATCHES.steps),
)
SECRETS_SINGLY = Strategy(name="batches, secrets singly", steps=(_ALL_PARAMETERS, *_EACH_SECRET))
# The extension keeps values for each environment, all for 300 s, and asks for one at a time.
EXTENSION = replace(SINGLE, name="extension", early=0.0)
NO_EARLY = replace(BATCHES, name="batches, no jitter on the ttl", early=0.0)
NO_JITTER = replace(BATCHES, name="batches, no jitter on retries", jitter=False)
MANAGED = replace(BATCHES, name="managed instances", processes=PROCESSES, spread_s=SPREAD_S)
NO_SPREAD = replace(MANAGED, name="managed instances, no spread", spread_s=0.0)
