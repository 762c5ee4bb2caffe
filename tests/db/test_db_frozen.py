"""A database connection of an environment that was really stopped, for longer than the server bears idle sessions."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab_parts import client_of, eventually, process_state, read
from lambdakit.lab import Lab

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CODE = """
import os
import lambdakit, psycopg

def connect():
    return psycopg.connect(os.environ["DSN"], autocommit=True)

database = lambdakit.singleton(connect, check=lambda connection: connection.execute("select 1"))
plain = []

def session(connection):
    try:
        return connection.execute("select pg_backend_pid()").fetchone()[0]
    except psycopg.OperationalError as error:
        return type(error).__name__

@lambdakit.handler
def handler(event, context):
    if not plain:
        plain.append(connect())
    return [session(database()), session(plain[0])]
"""


@pytest.fixture
def lab(postgres: Any, tmp_path: Path) -> Iterator[Lab]:
    """With the function above, whose sessions PostgreSQL ends after a second of idleness."""
    (tmp_path / "database_app.py").write_text(CODE, encoding="utf-8")
    with Lab() as lab:
        dsn = f"{postgres.dsn('first')} options='-c idle_session_timeout=1s'"
        lab.deploy("f", "database_app.handler", task_root=tmp_path, environment={"DSN": dsn}, timeout_s=30)
        yield lab


def test_a_session_that_the_server_ended_in_a_freeze(lab: Lab, postgres: Any) -> None:
    """The next invocation has another one. A connection that nobody looks after, beside it, is an error for ever."""
    client = client_of(lab)
    before = read(client.invoke(FunctionName="f", LogType="Tail"))
    (record,) = lab.environments("f")
    pid = record.pid or 0
    assert eventually(lambda: process_state(pid) == "T")
    assert postgres.serves()  # no session of the function's is left
    assert process_state(pid) == "T"
    after = read(client.invoke(FunctionName="f", LogType="Tail"))
    client.close()
    assert (before.error, after.error) == (None, None)
    assert all(isinstance(session, int) for session in before.value)
    healed, dead = after.value
    assert isinstance(healed, int)
    assert healed not in before.value
    assert dead == "IdleSessionTimeout"
