"""The timed part of a run: environments of all functions and memory sizes, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .failures import FunctionFailedError, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..lab import Lab
    from .caller import Caller, Reply
    from .options import Options, Side


@dataclass(frozen=True, slots=True)
class Target:
    """A function at a memory size, as it is deployed."""

    name: str
    side: Side
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One environment.

    Attributes:
        first: its first invocation, with INIT.
        warm: the others.
    """

    first: Reply
    warm: Sequence[Reply]


class Measured(NamedTuple):
    """What all environments have shown.

    Attributes:
        trials: of each target whose size was measured.
        failures: why a memory size was not, by the size.
    """

    trials: dict[Target, list[Trial]]
    failures: dict[int, FunctionFailedError]


def deploy(
    lab: Lab, name: str, side: Side, options: Options, *, memory_mb: int, variables: Mapping[str, str] | None = None
) -> Target:
    """Deploy a function.

    Args:
        lab: where it is deployed.
        name: its name there.
        side: the function.
        options: of the run.
        memory_mb: its memory size.
        variables: environment variables, in addition to those of the options.

    Raises:
        ConfigurationError: an argument is not what Lambda allows.
    """
    lab.deploy(
        name,
        side.handler,
        task_root=side.task_root,
        environment={**options.environment, **(variables or {})},
        memory_mb=memory_mb,
        timeout_s=options.timeout_s,
        python=options.python,
    )
    return Target(name, side, memory_mb)


def trial(lab: Lab, caller: Caller, target: Target, event: bytes, warm: int) -> Trial:
    """Run one environment: its first invocation, with INIT, and `warm` more.

    Raises:
        ConfigurationError: there is no such module, or no such function in it.
        FunctionFailedError: an invocation failed.
    """
    replies: list[Reply] = []
    for number in range(1, warm + 2):
        reply = caller.invoke(target.name, event)
        if reply.failed:
            raise failure(target.side, reply, memory_mb=target.memory_mb, number=number)
        if (reply.report.init_ms is None) == (number == 1):
            what = "its INIT took more than 10 s" if number == 1 else f"its environment ended after {number - 1}"
            raise FunctionFailedError(f"{target.side.label} cannot be measured at {target.memory_mb} MB: {what}")
        replies.append(reply)
    lab.retire(target.name)  # so that the next one has the machine to itself
    return Trial(first=replies[0], warm=replies[1:])


def measure(
    lab: Lab, caller: Caller, options: Options, targets: Sequence[Target], *, tick: Callable[[str], object]
) -> Measured:
    """Run all environments of all targets. Every other round is in reverse order, so that a slow minute affects all.

    A memory size at which a function fails is left out, and the others are measured.

    Raises:
        FunctionFailedError: an invocation failed at every memory size; the first of these errors.
    """
    trials: dict[Target, list[Trial]] = {target: [] for target in targets}
    failures: dict[int, FunctionFailedError] = {}
    for round_ in range(options.cold):
        for target in targets if round_ % 2 == 0 else reversed(targets):
            if target.memory_mb in failures:
                continue
            try:
                trials[target].append(trial(lab, caller, target, options.event, options.warm_each))
            except FunctionFailedError as error:
                failures[target.memory_mb] = error
                lab.retire(target.name)
            tick(f"{target.side.label}, {target.memory_mb} MB")
    measured = {target: found for target, found in trials.items() if target.memory_mb not in failures}
    if not measured:
        raise next(iter(failures.values()))
    return Measured(measured, failures)
