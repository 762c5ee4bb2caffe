"""What a backend is: the protocol that users implement, and that each of lambdakit's own keeps to."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

import lambdakit
from lambdakit import Environment, FetchError, NotFoundError, backends
from lambdakit._backends.direct import AutoBackend, DirectBackend
from lambdakit._backends.extension import ExtensionBackend
from lambdakit._backends.sdk import SdkBackend
from lambdakit.backends import Backend, Configuration, Parameter, Secret
from lambdakit.testing import FakeContext, MemoryBackend

MISSING = NotFoundError("no", service="mine", operation="get", name="missing")
MEMBERS = [name for name in vars(Backend) if not name.startswith("_")]


def test_all_is_exact() -> None:
    """The protocol and the names of what its methods return."""
    public = {name for name, value in vars(backends).items() if getattr(value, "__module__", "") == backends.__name__}
    assert public == {"Backend"}
    assert set(backends.__all__) == {"Backend", "Configuration", "Parameter", "Secret"}
    assert [Secret, Parameter, Configuration] == [
        "tuple[str | bytes, str | None]",
        "tuple[str, str | None]",
        "tuple[bytes, str | None, str, float]",
    ]


def test_the_runtime_does_not_load_it() -> None:
    """It is for type checkers and for those who write one: no cold start pays for it."""
    code = """
import json, sys, lambdakit
from lambdakit.testing import MemoryBackend
with lambdakit.use_environment(lambdakit.Environment(backend=MemoryBackend(secrets={"x": "1"}))):
    lambdakit.get_secret("x")
    before = "lambdakit.backends" in sys.modules
    import lambdakit.backends
print(json.dumps([before, "lambdakit.backends" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [False, True]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("kind", [AutoBackend, DirectBackend, ExtensionBackend, MemoryBackend, SdkBackend])
def test_each_of_ours_keeps_to_it(kind: Any, member: str) -> None:
    """The same members, and methods that take the same arguments in the same way."""
    wanted, given = inspect.getattr_static(Backend, member), inspect.getattr_static(kind, member)
    if isinstance(wanted, property):
        assert isinstance(given, (property, str))
        return
    parameters = [
        [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]
        for method in (wanted, given)
    ]
    assert parameters[0] == parameters[1]


class Mine:
    """A user's own, with what the protocol wants and nothing else."""

    name = "mine"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @property
    def origin(self) -> Mine:
        return self

    def get_secret(self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None) -> Secret:
        if name == "missing":
            raise MISSING
        self.asked.append((name, region, version_id, version_stage))
        return f"secret {name}", "7"

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        return {name: MISSING if name == "missing" else (f"secret {name}", "7") for name in names}

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        return f"parameter {name} {decrypt}", None

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        return {name: (f"parameter {name} {decrypt}", None) for name in names}

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        return {f"{path}/x": ("below", None)}

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        return f"{application} {environment} {profile}"

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        return token.encode(), None, token, 60.0

    def get_item(self, table: str, key: dict[str, Any], *, region: str | None, consistent: bool) -> str:
        return json.dumps({"key": {"S": json.dumps(key)}})

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        return b"plain"


def test_a_backend_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """All getters ask it; invocations, the end of the environment and a fork need nothing more of it."""
    monkeypatch.setenv("CIPHER", "cGxhbnRlZA==")
    mine: Backend = Mine()
    with lambdakit.use_environment(Environment(backend=mine)) as env:

        @lambdakit.handler
        def handler(event: Any, context: Any) -> list[Any]:
            return [
                lambdakit.get_secret("a", version_id="v"),
                lambdakit.get_secrets(["a", "b", "missing"], on_error="omit"),
                lambdakit.get_parameter("/p", decrypt=False),
                lambdakit.get_parameters(["/p", "/q"]),
                lambdakit.get_parameters_by_path("/p"),
                lambdakit.get_app_config("app", "prod", "flags"),
                lambdakit.get_item("orders", {"id": 5}),
                lambdakit.decrypt_env("CIPHER"),
            ]

        expected = [
            "secret a",
            {"a": "secret a", "b": "secret b"},
            "parameter /p False",
            {"/p": "parameter /p True", "/q": "parameter /q True"},
            {"/p/x": "below"},
            "app prod flags",
            {"key": '{"id": {"N": "5"}}'},
            "plain",
        ]
        assert handler({}, FakeContext()) == expected
        assert handler({}, FakeContext()) == expected
        assert "backend=mine" in repr(env)
        env._after_fork_in_child()
        assert handler({}, FakeContext()) == expected
        env.close()
    assert mine.asked == [("a", "eu-west-1", "v", None)] * 2  # type: ignore[attr-defined] # it is `Mine`
