"""A PostgreSQL: an empty cluster, started, and stopped when its parent ends."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .server import Server, announce

_LIMIT_S = 30.0
_END_S = 5.0
_NOBODY = 65534  # PostgreSQL does not run as root
_PASSWORD = "benchmark"  # noqa: S105 - of a cluster that lives for seconds, on loopback


class Postgres(Server):
    """The parent's end: a cluster of its own, from pgserver's wheel, over TCP on the loopback interface.

    Attributes:
        dsn: the connection string.
    """

    def __init__(self, programs: Path) -> None:
        super().__init__("servers.postgres", str(programs), needs="psycopg[binary]")
        self.dsn: str = self.announced


def programs() -> Path | None:
    """The folder of its programs; None where pgserver is not installed, which has no wheel for every Python."""
    spec = importlib.util.find_spec("pgserver")  # without the import, which would start to look for servers
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "pginstall" / "bin" if places else None


def serve(programs: Path, directory: Path) -> None:
    """Make a cluster in `directory`, and serve it until the parent ends."""
    options: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    if os.geteuid() == 0:
        os.chown(directory, _NOBODY, _NOBODY)
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    data, password, port = directory / "data", directory / "password", _free_port()
    password.write_text(_PASSWORD)
    # As a server of PostgreSQL 14 and later is set up: a password, never sent in clear.
    how = ["-U", "app", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run([programs / "initdb", "-D", data, *how], check=True, timeout=_LIMIT_S, **options)
    settings = ("-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20")
    where = ("-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "")
    process = subprocess.Popen([programs / "postgres", *where, *settings], stderr=subprocess.DEVNULL, **options)
    try:
        dsn = f"host=127.0.0.1 port={port} user=app password={_PASSWORD} dbname=postgres connect_timeout=5"
        _await(dsn, process)
        announce(dsn)
        sys.stdin.buffer.read()
    finally:
        process.send_signal(signal.SIGINT)  # ends sessions, too
        try:
            process.wait(_END_S)
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _await(dsn: str, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    until_s = time.monotonic() + _LIMIT_S
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            if time.monotonic() > until_s or process.poll() is not None:
                raise
            time.sleep(0.02)
        else:
            return


def main() -> None:
    """Serve until the parent ends."""
    directory = Path(tempfile.mkdtemp(prefix="lambdakit-benchmarks-"))
    try:
        serve(Path(sys.argv[1]), directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
