"""What the tests of the bench share: traces, built event by event."""

from __future__ import annotations

from typing import Any

from lambdakit._bench import advice
from lambdakit._bench.trace import Trace

WARM = 4


def imported(name: str, *within: str, own: float = 1.0, total: float = 1.0, n: int = 0) -> dict[str, Any]:
    return {"kind": "import", "n": n, "name": name, "within": list(within), "own_ms": own, "total_ms": total}


class Recorded:
    """A trace, built event by event."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.imports: list[dict[str, Any]] = []
        self.connections = 0

    def add(self, kind: str, n: int, **details: Any) -> None:
        self.events.append({"kind": kind, "n": n, "place": "app.py:1"} | details)

    def call(self, n: int, operation: str, name: str | None = None, service: str = "secretsmanager") -> None:
        self.add("call", n, service=service, operation=operation, name=name)
        self.request(n, f"{service}.{operation}")

    def client(self, n: int, service: str) -> None:
        self.add("client", n, service=service, took_ms=10.0)

    def connect(self, n: int, *, port: int | None = 443, by: str | None = None) -> int:
        self.connections += 1
        self.add("connection", n, id=self.connections, host="there", port=port, by=by)
        return self.connections

    def request(self, n: int, what: str, *, aws: bool = True, connection: int | None = None, host: str = "aws") -> None:
        self.add("request", n, what=what, host=host, aws=aws, connection=connection)

    def docs(self) -> list[str]:
        return [found.docs.partition("#")[0] for found in self.findings()]

    @property
    def trace(self) -> Trace:
        return Trace(warm=WARM, events=self.events, imports=self.imports)

    def findings(self) -> list[advice.Finding]:
        return advice.findings(self.trace)
