"""One lab for the session, boto3's own client as the caller, and functions that tests deploy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab_parts import BROKEN, CODE, Invoke, Reply, client_of, read
from lambdakit.lab import Lab


@pytest.fixture(scope="session")
def task_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the code of every function that tests deploy."""
    root = tmp_path_factory.mktemp("task")
    (root / "app.py").write_text(CODE, encoding="utf-8")
    for name, code in BROKEN.items():
        (root / f"{name}.py").write_text(code, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab for all tests that leave it as it was."""
    with Lab(init_timeout_s=1.0, restore_timeout_s=0.5) as lab:
        yield lab


@pytest.fixture(scope="session")
def client(lab: Lab) -> Iterator[Any]:
    """The SDK's client for the session's lab."""
    client = client_of(lab)
    yield client
    client.close()


@pytest.fixture
def invoke(client: Any) -> Invoke:
    """Invoke a function with a value, and read the answer with the tail of its log."""

    def invoke(name: str, event: Any = None, **options: Any) -> Reply:
        return read(client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail", **options))

    return invoke


@pytest.fixture
def deploy(lab: Lab, task_root: Path) -> Iterator[Callable[..., str]]:
    """Deploy one of the functions for the length of a test; the answer is its name."""
    names: list[str] = []

    def deploy(handler: str, **options: Any) -> str:
        name = f"f{len(names)}"
        lab.deploy(name, handler, task_root=task_root, **options)
        names.append(name)
        return name

    yield deploy
    for name in names:
        lab.remove(name)
