"""What tests of handlers need; the pytest fixture `lambdakit_environment` comes with it."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from itertools import count

from ._aws import base64
from ._backends.operations import blob
from ._clock import Clock
from .exceptions import ConfigurationError, FetchError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from ._clock import Instant
    from .backends import Configuration, Parameter, Secret

    T = TypeVar("T")

__all__ = ["FakeContext", "ManualClock", "MemoryBackend"]


class ManualClock(Clock):
    """Both clocks, standing still until they are moved.

    Args:
        wall_s: seconds since the epoch; the default is an arbitrary moment, the same in every run.
        monotonic_s: seconds of the monotonic clock; the default is that of a machine just booted.
        chance: what every jitter is drawn from, in [0, 1); the default, 0, is none: a ttl ends to the second.

    ``Environment(clock=ManualClock())`` takes it. Not thread-safe while it is moved. Since 0.1.
    """

    __slots__ = ("monotonic_s", "random_value", "wall_s")

    def __init__(self, *, wall_s: float = 1_800_000_000.0, monotonic_s: float = 1.0, chance: float = 0.0) -> None:
        self.wall_s = wall_s
        self.monotonic_s = monotonic_s
        self.random_value = chance

    def now(self) -> Instant:
        """Both readings."""
        return self.wall_s, self.monotonic_s

    def sleep(self, seconds: float) -> None:
        """Nobody waits; both clocks move."""
        self.tick(seconds)

    def random(self) -> float:
        """The same each time; the attribute `random_value` changes it."""
        return self.random_value

    def tick(self, seconds: float) -> None:
        """Time passes in a running environment: both clocks move."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def suspend(self, seconds: float) -> None:
        """Time passes in a frozen environment: the wall clock moves, the monotonic clock stands still."""
        self.wall_s += seconds

    def set_wall(self, wall_s: float) -> None:
        """Somebody sets the wall clock, backwards too; the monotonic clock does not notice."""
        self.wall_s = wall_s

    def __repr__(self) -> str:
        """Both readings."""
        return f"ManualClock(wall_s={self.wall_s!r}, monotonic_s={self.monotonic_s!r})"


class FakeIdentity:
    """Who has called, as the runtime tells it: nobody that Cognito knows, unless a test sets it."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class FakeContext:
    """A Lambda context with the attributes and methods that the runtime's own has.

    Args:
        remaining_s: what `get_remaining_time_in_millis` tells, in seconds; change the attribute to let time pass.
        aws_request_id: the request id.
        function_name: the function's name.
        client_context: None, or an object with a ``custom`` dictionary.

    Since 0.1.
    """

    def __init__(
        self,
        *,
        remaining_s: float = 3.0,
        aws_request_id: str = "00000000-0000-4000-8000-000000000000",
        function_name: str = "function",
        client_context: object = None,
    ) -> None:
        self.remaining_s = remaining_s
        self.aws_request_id = aws_request_id
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function_name}"
        self.memory_limit_in_mb = "128"
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "2026/01/01/[$LATEST]00000000000000000000000000000000"
        self.identity = FakeIdentity()
        self.client_context = client_context
        self.tenant_id = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int(self.remaining_s * 1000))

    def w3c(self) -> dict[str, str]:
        """The W3C trace context of the request: none."""
        return {}

    def log(self, msg: object) -> None:
        """Write to standard output, a line for each message."""
        sys.stdout.write(f"{msg}\n")


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
        parts = [part for value in key.values() for part in value.items()]
        name = " ".join([table, *(str(part) for _, part in parts)])
        self.calls.append(("item", name))
        value = _found(
            self.items, (table, *(_plain(kind, part) for kind, part in parts)), f"item {name!r}", name, region
        )
        return json.dumps(_attribute(value)["M"])

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


_NUMBERS = (int, float, Decimal)


def _attribute(value: Any) -> dict[str, Any]:
    """`value` with its type.

    Raises:
        ConfigurationError: DynamoDB stores no such thing.
    """
    for types, kind, write in _ATTRIBUTE_TYPES:
        if isinstance(value, types):
            return {kind: write(value)}
    if isinstance(value, (set, frozenset)):
        parts = sorted(pair for part in value for pair in _attribute(part).items())
        kinds = {kind for kind, _ in parts}
        if len(kinds) == 1 and kinds <= {"S", "N", "B"}:
            return {f"{kinds.pop()}S": [part for _, part in parts]}
    raise ConfigurationError(
        f"an item holds {type(value).__name__}, which DynamoDB does not store; give None, bool, str, int, float, "
        "Decimal, bytes, dict, list, or a set of strings, of numbers or of bytes"
    )


def _plain(kind: str, part: str) -> object:
    """What a part of a key is in Python: numbers that are equal are equal as keys, whatever their type."""
    if kind == "B":
        return blob(part)
    return Decimal(part) if kind == "N" else part


_ATTRIBUTE_TYPES: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (type(None), "NULL", lambda _: True),
    (bool, "BOOL", bool),
    (str, "S", str),
    (_NUMBERS, "N", str),
    (bytes, "B", base64),
    (dict, "M", lambda value: {name: _attribute(part) for name, part in value.items()}),
    ((list, tuple), "L", lambda value: [_attribute(part) for part in value]),
)
