"""Peers: other libraries that do one of these jobs."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .results import Outcome

# The name that rows have, and that of the distribution.
PEERS = {
    "boto3": "boto3",
    "Powertools": "aws-lambda-powertools",
    "aws_secretsmanager_caching": "aws-secretsmanager-caching",
    "ssm-cache": "ssm-cache",
    "lambda-cache": "lambda-cache",
    "urllib3": "urllib3",
    "requests": "requests",
    "httpx": "httpx",
    "lambda-decorators": "lambda-decorators",
    "lambda-warmer-py": "lambda-warmer-py",
}
MEASURED = "measured"
DOES_NOT = "does not do this"
LEFT_OUT = "does the same, not measured: left out of this run"


def version(distribution: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def document(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Each peer with its version, and by effect of this run whether it does that job and was measured."""
    outcomes = list(outcomes)
    return [
        {
            "name": name,
            "version": version(distribution),
            "jobs": {outcome.effect.name: _job(name, outcome) for outcome in outcomes},
        }
        for name, distribution in PEERS.items()
    ]


def _job(name: str, outcome: Outcome) -> str:
    if any(row.peer == name for row in outcome.rows):
        return MEASURED
    if any(row.peer == name for row in outcome.effect.rows):
        return LEFT_OUT
    return outcome.effect.peers.get(name, DOES_NOT)
