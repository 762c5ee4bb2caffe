"""A backend that answers from dictionaries, for tests."""

from __future__ import annotations

import json
from itertools import count

from ..exceptions import FetchError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeVar

    from .._clock import Instant
    from . import Configuration, Parameter, Secret

    T = TypeVar("T")


class MemoryBackend:
    """A backend that answers from dictionaries: values for a test, without a server.

    Args:
        secrets: name to text or bytes.
        parameters: name to text.
        ciphertexts: what an environment variable holds, to its plaintext, for `lambdakit.decrypt_env`.
        app_configs: ``"application/environment/profile"`` to text or bytes.
        items: the table and what the key holds, in the order of the key's attributes, to the item: plain Python values,
            as in ``items={("orders", "o-1"): {"id": "o-1", "total": 3, "tags": {"new"}}}``.

    Attributes:
        poll_interval_s: how long to wait between two polls of a configuration, as told to who polls; 60 by default.

    The dictionaries are copied into attributes of the same names, which a test may change: a changed value has a new
    version, and a configuration that did not change has an empty body at the next poll, as in AppConfig. A value that
    is an exception is raised; in a batch it is the error of this name alone. `calls` lists each fetch as (kind, name):
    ``("secret", "a")``, ``("secrets", "a, b")`` for a batch, ``("parameter", "/a")``, ``("parameters", "/a, /b")``,
    ``("path", "/a")``, ``("session", "app/prod/flags")``, ``("configuration", "app/prod/flags")``,
    ``("item", "orders o-1")``, ``("ciphertext", "...")``.
    ``Environment(backend=MemoryBackend(secrets={"prod/db": "..."}))`` takes it. Versions, stages, labels, regions and
    decryption are not told apart. Since 0.1.
    """

    name = "memory"

    def __init__(
        self,
        *,
        secrets: Mapping[str, str | bytes | Exception] | None = None,
        parameters: Mapping[str, str | Exception] | None = None,
        ciphertexts: Mapping[str, str | Exception] | None = None,
        app_configs: Mapping[str, str | bytes | Exception] | None = None,
        items: Mapping[tuple[Any, ...], Mapping[str, Any] | Exception] | None = None,
    ) -> None:
        self.secrets = dict(secrets or {})
        self.parameters = dict(parameters or {})
        self.ciphertexts = dict(ciphertexts or {})
        self.app_configs = dict(app_configs or {})
        self.items = dict(items or {})
        self.poll_interval_s = 60.0
        self.calls: list[tuple[str, str]] = []
        self._versions: dict[tuple[str, str], list[object]] = {}
        self._sessions: dict[str, str] = {}  # by the token of the next poll: the version that was told last
        self._numbers = count(1)

    @property
    def origin(self) -> MemoryBackend:
        """Itself."""
        return self

    def get_secret(
        self,
        name: str,
        *,
        region: str | None,
        version_id: str | None,  # noqa: ARG002 - the interface of every backend
        version_stage: str | None,  # noqa: ARG002 - the same
    ) -> Secret:
        """The secret of this name."""
        self.calls.append(("secret", name))
        return self._value("secret", name, region, self.secrets)

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        """The secrets of these names."""
        self.calls.append(("secrets", ", ".join(names)))
        return self._values("secret", names, region, self.secrets)

    def get_parameter(
        self,
        name: str,
        *,
        region: str | None,
        decrypt: bool,  # noqa: ARG002 - the same
    ) -> Parameter:
        """The parameter of this name."""
        self.calls.append(("parameter", name))
        return self._value("parameter", name, region, self.parameters)

    def get_parameters(
        self,
        names: Sequence[str],
        *,
        region: str | None,
        decrypt: bool,  # noqa: ARG002 - the same
    ) -> dict[str, Parameter | FetchError]:
        """The parameters of these names."""
        self.calls.append(("parameters", ", ".join(names)))
        return self._values("parameter", names, region, self.parameters)

    def get_parameters_by_path(
        self,
        path: str,
        *,
        region: str | None,
        recursive: bool,
        decrypt: bool,  # noqa: ARG002 - the same
    ) -> dict[str, Parameter]:
        """The parameters below this path; of one level if not `recursive`."""
        self.calls.append(("path", path))
        prefix = f"{path.rstrip('/')}/"
        return {
            name: self._value("parameter", name, region, self.parameters)
            for name in self.parameters
            if name.startswith(prefix) and (recursive or "/" not in name[len(prefix) :])
        }

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        """The token of the first poll."""
        name = f"{application}/{environment}/{profile}"
        self.calls.append(("session", name))
        self._value("configuration", name, region, self.app_configs)
        return self._token("")

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        """The configuration of this name, if it has changed since the poll that gave the token."""
        self.calls.append(("configuration", name))
        if token not in self._sessions:
            raise FetchError(
                f"configuration {name!r}: this token was used, or never given",
                service="memory",
                operation="get",
                name=name,
                region=region,
                code="BadRequestException",
            )
        value: str | bytes
        value, version = self._value("configuration", name, region, self.app_configs)
        body = value.encode() if isinstance(value, str) else value
        seen = self._sessions.pop(token)
        return b"" if version == seen else body, version, self._token(version), self.poll_interval_s

    def get_item(
        self,
        table: str,
        key: dict[str, Any],
        *,
        region: str | None,
        consistent: bool,  # noqa: ARG002 - the same
    ) -> str:
        """The item of this key."""
        from .attributes import attribute, plain  # 2 ms for the decimals; not paid where a test has no items

        parts = [part for value in key.values() for part in value.items()]
        name = " ".join([table, *(str(part) for _, part in parts)])
        self.calls.append(("item", name))
        value = _found(
            self.items, (table, *(plain(kind, part) for kind, part in parts)), f"item {name!r}", name, region
        )
        return json.dumps(attribute(value)["M"])

    def decrypt(
        self,
        name: str,  # noqa: ARG002 - the same
        *,
        ciphertext: str,
        context: dict[str, str],  # noqa: ARG002 - the same
    ) -> bytes:
        """The plaintext of this ciphertext."""
        self.calls.append(("ciphertext", ciphertext))
        return self._value("ciphertext", ciphertext, None, self.ciphertexts)[0].encode()

    def drop_idle(self, now: Instant) -> None:
        """Nothing of its own is open."""

    def abandon(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def _token(self, version: str) -> str:
        token = f"token-{next(self._numbers)}"
        self._sessions[token] = version
        return token

    def _values(
        self, kind: str, names: Sequence[str], region: str | None, values: Mapping[str, T | Exception]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in names:
            try:
                found[name] = self._value(kind, name, region, values)
            except Exception as error:  # noqa: BLE001 - the test's own, whatever it is
                found[name] = error
        return found

    def _value(self, kind: str, name: str, region: str | None, values: Mapping[str, T | Exception]) -> tuple[T, str]:
        value = _found(values, name, f"{kind} {name!r}", name, region)
        versions = self._versions.setdefault((kind, name), [])
        if not versions or versions[-1] != value:
            versions.append(value)
        return value, str(len(versions))

    def __repr__(self) -> str:
        """How much it holds; the values may be real ones."""
        held: dict[str, dict[Any, Any]] = {
            "secrets": self.secrets,
            "parameters": self.parameters,
            "app_configs": self.app_configs,
            "items": self.items,
        }
        counts = " ".join(f"{kind}={len(values)}" for kind, values in held.items() if values)
        return f"<MemoryBackend {counts} calls={len(self.calls)}>".replace("  ", " ")


def _found(values: Mapping[Any, T | Exception], key: object, what: str, name: str, region: str | None) -> T:
    if key not in values:
        raise NotFoundError(
            f"{what} is not in this MemoryBackend", service="memory", operation="get", name=name, region=region
        )
    value = values[key]
    if isinstance(value, Exception):
        raise value
    return value
