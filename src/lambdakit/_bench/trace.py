"""What was seen in the environments that were watched: events, counted by phase."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Event = dict[str, Any]


class Count(NamedTuple):
    """How often: in INIT, in the first invocation, in all warm ones together."""

    init: int
    first: int
    warm: int


def count(events: Sequence[Event]) -> Count:
    """How often, by phase."""
    numbers = [event["n"] for event in events]
    return Count(numbers.count(0), numbers.count(1), sum(number > 1 for number in numbers))


class Group(NamedTuple):
    """Events that are alike."""

    key: tuple[Any, ...]
    events: list[Event]

    @property
    def times(self) -> Count:
        """How often, by phase."""
        return count(self.events)

    @property
    def places(self) -> list[str]:
        """Where in the user's code, each once."""
        return list(dict.fromkeys(event["place"] for event in self.events if event.get("place")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The imports of one top-level package.

    Attributes:
        name: the package's.
        own_ms: its own modules, without what they import of others.
        total_ms: with all that they import.
        modules: how many of its modules.
        invocation: 0 if it was first imported in INIT, else the invocation.
    """

    name: str
    own_ms: float
    total_ms: float
    modules: int
    invocation: int


class Seen:
    """What one function did.

    Args:
        warm: how many warm invocations were watched.
        events: what happened, in order.
        imports: the modules that were imported, with medians over environments.
    """

    def __init__(self, *, warm: int, events: Sequence[Event], imports: Sequence[Event]) -> None:
        self.warm = warm
        self.imports = imports
        self._events = {key[0]: group for key, group in group(events, "kind")}
        self._requests = {key[0]: group for key, group in group(self.of("request"), "connection")}

    def of(self, kind: str) -> list[Event]:
        """The events of one kind."""
        return self._events.get(kind, [])

    def grouped(self, kind: str, *keys: str) -> list[Group]:
        """The events of one kind, by some of their details, in the order of their first."""
        return group(self.of(kind), *keys)

    def kind_of(self, connection: Event) -> str:
        """What a connection was used for: "aws", "http", or "other" where no HTTP request was seen on it."""
        requests = self.requests_on(connection)
        return "other" if not requests else "aws" if any(request["aws"] for request in requests) else "http"

    def requests_on(self, connection: Event) -> list[Event]:
        """The requests that were sent on a connection; where that is not known, those to its host."""
        known = self._requests.get(connection["id"], [])
        unknown = self._requests.get(None, [])
        return known or [r for r in unknown if r["host"].partition(":")[0] == connection["host"]]

    @property
    def packages(self) -> list[Package]:
        """The imports by top-level package, the dearest first."""
        found = []
        tops = [event | {"top": _top(event["name"])} for event in self.imports]
        for (name,), modules in group(tops, "top"):
            outermost = [m for m in modules if name not in map(_top, m["within"])]
            found.append(
                Package(
                    name=name,
                    own_ms=sum(module["own_ms"] for module in modules),
                    total_ms=sum(module["total_ms"] for module in outermost),
                    modules=len(modules),
                    invocation=min(module["n"] for module in modules),
                )
            )
        return sorted(found, key=lambda package: -package.total_ms)


def group(events: Sequence[Event], *keys: str) -> list[Group]:
    """Events by some of their details, in the order of their first."""
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for event in events:
        groups.setdefault(tuple(event[key] for key in keys), []).append(event)
    return [Group(key, members) for key, members in groups.items()]


def merged(runs: Sequence[Sequence[Event]]) -> list[Event]:
    """The imports of several environments as one: medians of the modules that all of them imported."""
    by_name = [{event["name"]: event for event in reversed(run)} for run in runs]
    return [
        event | {key: median(others[name][key] for others in by_name) for key in ("own_ms", "total_ms")}
        for name, event in by_name[0].items()
        if all(name in others for others in by_name)
    ][::-1]


def _top(module: str) -> str:
    return str(module).partition(".")[0]
