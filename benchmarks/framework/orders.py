"""The example, deployed in the lab in both of its versions."""

from __future__ import annotations

import importlib.util
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from . import stats
from .deployed import Deployed
from .effect import Series
from .processes import ROOT

if TYPE_CHECKING:
    from .run import Run

    Trials = list[dict[str, Any]]

EXAMPLE = ROOT / "examples" / "orders"
NAIVE, FAST = "naive", "fast"
VERSIONS = (NAIVE, FAST)
MEMORY_MB = 1769  # one core; both versions are CPU-bound, so the ratio does not depend on it, within one core
EACH_CALL = {"GetSecretValue": 1, "GetParameter": 1, "PutItem": 1}


class Function:
    """One version of the example, deployed in the lab."""

    def __init__(self, run: Run, version: str, memory_mb: int = MEMORY_MB) -> None:
        self._run = run
        run.memory_used.add(memory_mb)
        # Values that are never fresh are fetched at each call.
        ttl = run.switch({}, off={"LAMBDAKIT_TTL": "0"})
        self._deployed = Deployed(
            run.lab,
            f"{version}-{memory_mb}",
            f"{version}.handler",
            task_root=EXAMPLE,
            environment=run.upstream.variables | example().VARIABLES | ttl,
            memory_mb=memory_mb,
        )

    def trial(self, warm: int) -> dict[str, Any]:
        """One environment; see `Deployed.trial`."""
        return self._deployed.trial(warm, event=event(), calls=self._run.upstream.calls)


def event() -> Any:
    """An order, signed with the example's key."""
    return json.loads((EXAMPLE / "event.json").read_text())


def example() -> Any:
    """The module that prepares the example, and knows its names."""
    spec = importlib.util.spec_from_file_location("orders_prepare", EXAMPLE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cold_ms(trial: dict[str, Any]) -> float:
    """INIT and first invocation of one environment; what a REPORT line lacks counts as 0."""
    return (trial["first"]["init_ms"] or 0.0) + (trial["first"]["duration_ms"] or 0.0)


def warm_ms(trial: dict[str, Any]) -> list[float]:
    """The other invocations of one environment."""
    return [one["duration_ms"] or 0.0 for one in trial["warm"]]


def distribution(trials: Trials) -> dict[str, list[float]]:
    """Every cold start, and every warm invocation."""
    return {"cold": [cold_ms(trial) for trial in trials], "warm": [ms for trial in trials for ms in warm_ms(trial)]}


def series(name: str, trials: Trials) -> dict[str, Series]:
    """One value per environment and figure; of the warm invocations all of them."""

    def each(unit: str, values: list[float]) -> Series:
        return Series(unit=unit, processes=[[value] for value in values])

    warm = [warm_ms(trial) for trial in trials]
    memory = [max(one["max_memory_mb"] or 0.0 for one in (trial["first"], *trial["warm"])) for trial in trials]
    return {
        f"{name}, INIT": each("ms", [trial["first"]["init_ms"] or 0.0 for trial in trials]),
        f"{name}, first": each("ms", [trial["first"]["duration_ms"] or 0.0 for trial in trials]),
        f"{name}, cold": each("ms", [cold_ms(trial) for trial in trials]),
        f"{name}, warm": Series(unit="ms", processes=warm),
        f"{name}, warm p95": each("ms", [stats.percentile(samples, 0.95) for samples in warm]),
        f"{name}, warm p99": each("ms", [stats.percentile(samples, 0.99) for samples in warm]),
        f"{name}, RSS": each("MB", memory),
        f"{name}, calls": each("calls", [sum(t["warm_calls"].values()) / max(1, len(t["warm"])) for t in trials]),
    }


def evidence(trials: Trials) -> list[dict[str, Any]]:
    """The evidence of each environment, equal answers only once."""
    return [
        {
            "invocations": 1 + len(trial["warm"]),
            "answers": [json.loads(text) for text in sorted({_text(one) for one in (trial["first"], *trial["warm"])})],
            "first_init_ms": trial["first"]["init_ms"],
            "inits": sum(one["init_ms"] is not None for one in trial["warm"]),
            "reported": all(one["duration_ms"] for one in (trial["first"], *trial["warm"])),
            "first_calls": trial["first_calls"],
            "warm_calls": trial["warm_calls"],
        }
        for trial in trials
    ]


def all_created(answers: list[list[Any]]) -> bool:
    """Whether all environments gave one and the same answer: an order that was created."""
    answer, error = answers[0][0]
    return (
        all(given == answers[0] for given in answers)
        and len(answers[0]) == 1
        and error is None
        and isinstance(answer, dict)
        and answer.get("statusCode") == HTTPStatus.CREATED
    )


def times(calls: dict[str, int], invocations: int) -> dict[str, int]:
    """The calls of so many invocations."""
    return {name: count * invocations for name, count in calls.items()}


def _text(one: dict[str, Any]) -> str:
    return json.dumps([one["answer"], one["error"]], sort_keys=True)
