"""Our end of a PostgreSQL."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .server import Server


class Postgres(Server):
    """A cluster of its own, from pgserver's wheel, over TCP on the loopback interface.

    Attributes:
        told: the connection string.
    """

    def __init__(self, programs: Path) -> None:
        super().__init__("postgres_process", str(programs), needs="psycopg[binary]")


def programs() -> Path | None:
    """Where its programs are; None where pgserver is not installed, which has no wheel for every Python."""
    spec = importlib.util.find_spec("pgserver")  # without the import, which would start to look for servers
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "pginstall" / "bin" if places else None
