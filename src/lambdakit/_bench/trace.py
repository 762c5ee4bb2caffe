"""What the traced environments recorded: events, counted by phase."""

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
    """Count events by phase."""
    numbers = [event["n"] for event in events]
    return Count(numbers.count(0), numbers.count(1), sum(number > 1 for number in numbers))


class Group(NamedTuple):
    """Events with the same details."""

    key: tuple[Any, ...]
    events: list[Event]

    @property
    def times(self) -> Count:
        """How often, by phase."""
        return count(self.events)

    @property
    def places(self) -> list[str]:
        """The lines of the user's code that they come from, each once."""
        return list(dict.fromkeys(event["place"] for event in self.events if event.get("place")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The imports of one top-level package.

    Attributes:
        name: the package's.
        own_ms: its own modules, without the packages that they import.
        total_ms: with everything that it imports.
        modules: how many of its modules.
        invocation: 0 if it was first imported in INIT, else the invocation.
    """

    name: str
    own_ms: float
    total_ms: float
    modules: int
    invocation: int


class Trace:
    """What was recorded of one function.

    Args:
        warm: how many warm invocations were traced.
        events: in their order.
        imports: of modules, with medians over environments.
    """

    def __init__(self, *, warm: int, events: Sequence[Event], imports: Sequence[Event]) -> None:
        self.warm = warm
        self.imports = imports
        self._by_kind = {key[0]: group for key, group in group(events, "kind")}
        self._requests = {key[0]: group for key, group in group(self.events("request"), "connection")}

    def events(self, kind: str) -> list[Event]:
        """The events of one kind."""
        return self._by_kind.get(kind, [])

    def grouped(self, kind: str, *keys: str) -> list[Group]:
        """The events of one kind, grouped by some of their details, the earliest first."""
        return group(self.events(kind), *keys)

    def use_of(self, connection: Event) -> str:
        """What a connection was used for: "aws", "http", or "other" where no HTTP request was recorded on it."""
        requests = self.requests_on(connection)
        return "other" if not requests else "aws" if any(request["aws"] for request in requests) else "http"

    def requests_on(self, connection: Event) -> list[Event]:
        """The requests on a connection. A request whose connection is not known counts for those to its host."""
        known = self._requests.get(connection["id"], [])
        unknown = self._requests.get(None, [])
        return known or [r for r in unknown if r["host"].partition(":")[0] == connection["host"]]

    @property
    def packages(self) -> list[Package]:
        """The imports by top-level package, the slowest first."""
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
    """Group events by some of their details, the earliest first."""
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for event in events:
        groups.setdefault(tuple(event[key] for key in keys), []).append(event)
    return [Group(key, members) for key, members in groups.items()]


def median_imports(runs: Sequence[Sequence[Event]]) -> list[Event]:
    """The modules that all environments imported, each with the medians of its times."""
    by_name = [{event["name"]: event for event in reversed(run)} for run in runs]
    return [
        event | {key: median(others[name][key] for others in by_name) for key in ("own_ms", "total_ms")}
        for name, event in by_name[0].items()
        if all(name in others for others in by_name)
    ][::-1]


def _top(module: str) -> str:
    return str(module).partition(".")[0]
