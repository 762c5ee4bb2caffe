"""A real fleet: environments of the lab that call a service with quotas, all from the same moment on."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambdakit.exceptions import LambdakitError

from ..framework.deployed import Deployed
from ..framework.processes import ProcessFailedError
from ..servers import upstream
from .limits import Quota
from .strategies import PARAMETERS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambdakit.lab import Lab

    from .limited import Call, LimitedServer
    from .strategies import Strategy

_CODE = Path(__file__).parent / "functions"
# Small enough for ten environments to be throttled, and for fifty to be warm within a quarter of a minute.
QUOTAS = (
    Quota(rate=40.0, burst=10.0, operations=("GetParameter", "GetParameters")),
    Quota(rate=20.0, burst=5.0, operations=("BatchGetSecretValue",)),
)
# So few that of fifty preloads most are throttled in the first invocation too, where lambdakit asks for batches again.
SCARCE = (
    Quota(rate=5.0, burst=2.0, operations=("GetParameter", "GetParameters")),
    Quota(rate=5.0, burst=2.0, operations=("BatchGetSecretValue",)),
)
BETWEEN_S = 1.0  # see `Scenario.between_s`
NAMES = {"parameters": [*upstream.PARAMETERS][:PARAMETERS], "secrets": [*upstream.SECRETS][:SECRETS]}
VALUES = [
    *(upstream.PARAMETERS[name] for name in NAMES["parameters"]),
    *(upstream.SECRETS[name] for name in NAMES["secrets"]),
]
_LIMIT_S, _TIMEOUT_S = 90.0, 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetRun:
    """What one fleet did. Times count from its first call.

    Attributes:
        right: how many environments ended with the right values.
        starts_s: when each made its first call.
        warm_s: when each had all its values.
        leads_s: how long each took from the start of its process to its first call, the wait for the others left out.
        turns_s: from the arrival of a call that was answered to that of the environment's next one.
        answered: calls that were answered, by operation.
        throttled: calls that were not, by operation.
        failed: turns that would have been failed invocations, of each environment.
        cpu_ms: CPU time of each process, from its start.
    """

    right: int
    starts_s: list[float]
    warm_s: list[float]
    leads_s: list[float]
    turns_s: list[float]
    answered: dict[str, int] = field(default_factory=dict)
    throttled: dict[str, int] = field(default_factory=dict)
    failed: list[int]
    cpu_ms: list[float]

    @property
    def throttled_share(self) -> float:
        """Of all calls."""
        throttled = sum(self.throttled.values())
        return throttled / max(1, throttled + sum(self.answered.values()))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class RealFleet:
    """Environments on demand, one fleet after the other.

    Args:
        lab: where they run.
        server: what they ask, and what tells whose each call was.
    """

    def __init__(self, lab: Lab, server: LimitedServer) -> None:
        self._lab = lab
        self._server = server

    def run(self, strategy: Strategy, count: int, *, quotas: Sequence[Quota] = QUOTAS) -> FleetRun:
        """A fleet of `count` environments that ask as `strategy` does.

        Raises:
            ProcessFailedError: an environment did not come up, or did not get its values in time.
        """
        try:
            member = Deployed(
                self._lab,
                "fleet-member",
                "member.handler",
                task_root=_CODE,
                environment={"AWS_ENDPOINT_URL": self._server.url},
                timeout_s=_TIMEOUT_S,
                provisioned=count,
            )
        except LambdakitError as error:
            raise ProcessFailedError(f"a fleet of {count} did not come up: {error}") from error
        try:
            self._server.begin(quotas)
            answers = _together(member, strategy, count)
            inits_ms = {f"MEMBER{one.pid}": one.init_ms or 0.0 for one in self._lab.environments(member.name)}
        finally:
            member.remove()
        return _fleet_run(answers, self._server.calls(), inits_ms)


def _together(member: Deployed, strategy: Strategy, count: int) -> list[dict[str, Any]]:
    """The answers of the environments, which begin when all of them are there."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as gate, ThreadPoolExecutor(count) as pool:
        gate.settimeout(_TIMEOUT_S)
        event = NAMES | {
            "port": gate.getsockname()[1],
            "batches": strategy.invocations_batch,
            "preload": strategy.preload,
            "between_s": BETWEEN_S,
            "limit_s": _LIMIT_S,
        }
        replies = [pool.submit(member.invoke, event) for _ in range(count)]
        try:
            waiting = [gate.accept()[0] for _ in range(count)]
        except TimeoutError as error:
            raise ProcessFailedError(f"of {count} environments not all have come") from error
        for connection in waiting:
            connection.close()
        done = [reply.result() for reply in replies]
    for one in done:
        if one["error"]:
            raise ProcessFailedError(f"an environment of the fleet failed: {one['answer']}")
    return [one["answer"] for one in done]


def _fleet_run(answers: list[dict[str, Any]], calls: list[Call], inits_ms: dict[str, float]) -> FleetRun:
    by_member: dict[str, list[Call]] = {}
    answered: dict[str, int] = {}
    throttled: dict[str, int] = {}
    for call in calls:
        by_member.setdefault(call.member, []).append(call)
        counts = answered if call.answered else throttled
        counts[call.operation] = counts.get(call.operation, 0) + 1
    zero_s = calls[0].arrived_s
    return FleetRun(
        right=sum(answer["values"] == VALUES for answer in answers),
        starts_s=[by_member[answer["name"]][0].arrived_s - zero_s for answer in answers],
        warm_s=[answer["warm_s"] - zero_s for answer in answers],
        leads_s=[
            inits_ms[answer["name"]] / 1e3 + by_member[answer["name"]][0].arrived_s - answer["began_s"]
            for answer in answers
        ],
        turns_s=[
            following.arrived_s - call.arrived_s
            for given in by_member.values()
            for call, following in pairwise(given)
            if call.answered
        ],
        answered=answered,
        throttled=throttled,
        failed=[answer["failed"] for answer in answers],
        cpu_ms=[answer["cpu_ms"] for answer in answers],
    )
