"""The backend `extension`: AWS's Parameters and Secrets extension, or its agent, on the local port."""

from __future__ import annotations

from .._aws import Answer, document
from .._aws.signing import query_string
from .._aws.transport import ConnectError, ExchangeError, Transport, Trust, build_request
from .._clock import age_s
from .._errors import error_class, service_error
from ..exceptions import DeadlineExceededError, FetchError, NetworkError
from .direct import AutoBackend
from .operations import parameter, secret_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from .._aws.transport import Response
    from .._clock import Clock, Instant
    from .._environment import Environment
    from .._settings import Settings
    from ..backends import Backend, Configuration, Parameter, Secret

    T = TypeVar("T")

_PORT = 2773
_CONNECT_S = 1.0  # to this machine: it is there at once, or not at all
_PAUSE_S = 30.0  # between two connections that are waited for in vain: it may have had no share of the CPU
_OK, _BAD_REQUEST = 200, 400


class ExtensionBackend:
    """Asks the extension in an invocation; falls back to another backend while it is not ready or where it is not.

    That it is absent is learnt only in an invocation (in INIT it may not have begun to listen), from a connection that
    is refused, and then remembered; one that is not made in time says nothing, and is tried again after a while.
    It knows values of Secrets Manager and SSM in the function's own region, one at a time. A batch is asked for one by
    one: it answers from its cache, on this machine. Everything else goes to the other backend. Thread-safe.

    Args:
        settings: the port and the token stand in its variables.
        clock: both clocks.
        budget: seconds that a call may take now, None for no limit.
        invoking: whether an invocation is running; nothing waits for the extension in INIT.
        fallback: the backend to fall back to.
    """

    __slots__ = (
        "_absent",
        "_budget",
        "_clock",
        "_environ",
        "_fallback",
        "_invoking",
        "_region",
        "_transport",
        "_unanswered",
    )

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        budget: Callable[[], float | None],
        invoking: Callable[[], bool],
        fallback: AutoBackend,
    ) -> None:
        self._environ = settings.environ
        self._region = settings.region
        self._clock = clock
        self._budget = budget
        self._invoking = invoking
        self._fallback = fallback
        self._transport = Transport(clock=clock, trust=Trust(environ=self._environ), max_idle_s=settings.max_idle_s)
        self._absent = False
        self._unanswered: Instant | None = None  # when it last did not let itself be connected to in time

    @classmethod
    def of(cls, env: Environment) -> ExtensionBackend:
        """That of an environment, with `auto` behind it."""
        return cls(
            settings=env.settings,
            clock=env.clock,
            budget=env._budget,
            invoking=lambda: env._current() is not None,
            fallback=env._parts[AutoBackend],
        )

    @property
    def name(self) -> str:
        """With what is asked instead where it was found to be absent."""
        return f"{self._fallback.name} (no extension answers)" if self._absent else "extension"

    @property
    def origin(self) -> Backend:
        """The other backend: the extension answers from its own cache, for up to 300 seconds."""
        return self._fallback.origin

    def get_secret(self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None) -> Secret:
        """GET /secretsmanager/get."""
        value = self._secret(name, region, version_id, version_stage)
        if value is None:
            return self._fallback.get_secret(name, region=region, version_id=version_id, version_stage=version_stage)
        return value

    def get_secrets(self, names: Sequence[str], *, region: str | None) -> dict[str, Secret | FetchError]:
        """GET /secretsmanager/get for each; all of them from the other backend where one has to be."""
        values = _each(names, lambda name: self._secret(name, region, None, None))
        return self._fallback.get_secrets(names, region=region) if values is None else values

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> Parameter:
        """GET /systemsmanager/parameters/get; a version or label behind the name goes where the extension wants it."""
        value = self._parameter(name, region, decrypt=decrypt)
        return self._fallback.get_parameter(name, region=region, decrypt=decrypt) if value is None else value

    def get_parameters(
        self, names: Sequence[str], *, region: str | None, decrypt: bool
    ) -> dict[str, Parameter | FetchError]:
        """GET /systemsmanager/parameters/get for each; all of them from the other backend where one has to be."""
        values = _each(names, lambda name: self._parameter(name, region, decrypt=decrypt))
        return self._fallback.get_parameters(names, region=region, decrypt=decrypt) if values is None else values

    def get_parameters_by_path(
        self, path: str, *, region: str | None, recursive: bool, decrypt: bool
    ) -> dict[str, Parameter]:
        """The extension has no paths."""
        return self._fallback.get_parameters_by_path(path, region=region, recursive=recursive, decrypt=decrypt)

    def start_configuration_session(
        self, application: str, environment: str, profile: str, *, region: str | None
    ) -> str:
        """AppConfig has another extension."""
        return self._fallback.start_configuration_session(application, environment, profile, region=region)

    def get_latest_configuration(self, token: str, *, name: str, region: str | None) -> Configuration:
        """AppConfig has another extension."""
        return self._fallback.get_latest_configuration(token, name=name, region=region)

    def get_item(self, table: str, key: dict[str, Any], *, region: str | None, consistent: bool) -> str:
        """The extension has no DynamoDB."""
        return self._fallback.get_item(table, key, region=region, consistent=consistent)

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """The extension has no KMS."""
        return self._fallback.decrypt(name, ciphertext=ciphertext, context=context)

    def warm_imports(self) -> None:
        """Import in INIT what a first fetch needs, also of what is asked until the extension is ready."""
        self._fallback.warm_imports()

    def close(self) -> None:
        """Close the connections, and look for the extension anew."""
        self._transport.close()
        self._absent = False
        self._unanswered = None

    def close_idle(self, now: Instant) -> float | None:
        """See `Transport.close_idle`."""
        return self._transport.close_idle(now)

    def after_fork_in_child(self) -> bool:
        """See `Transport.after_fork_in_child`; the child makes its own."""
        self._transport.after_fork_in_child()
        return False

    def _secret(
        self, name: str, region: str | None, version_id: str | None, version_stage: str | None
    ) -> Secret | None:
        query = [("secretId", name)]
        query += [("versionId", version_id)] if version_id is not None else []
        query += [("versionStage", version_stage)] if version_stage is not None else []
        context = {"service": "secretsmanager", "operation": "GetSecretValue", "name": name, "region": self._region}
        answer = self._ask(context, region, f"/secretsmanager/get?{query_string(query)}")
        return None if answer is None else answer.read(secret_value)

    def _parameter(self, name: str, region: str | None, *, decrypt: bool) -> Parameter | None:
        query = _selected(name)
        query += [("withDecryption", "true")] if decrypt else []
        context = {"service": "ssm", "operation": "GetParameter", "name": name, "region": self._region}
        answer = self._ask(context, region, f"/systemsmanager/parameters/get?{query_string(query)}")
        return None if answer is None else answer.read(parameter)

    def _ask(self, context: dict[str, Any], region: str | None, target: str) -> Answer | None:
        """A successful answer, or None if the other backend has to be asked."""
        if self._absent or region not in {None, self._region} or not self._invoking():
            return None
        now = self._clock.now()
        if self._unanswered is not None and age_s(self._unanswered, now) < _PAUSE_S:
            return None
        left_s = self._budget()
        what = f"{context['service']} {context['operation']} of {context['name']!r}"
        # Under SnapStart there is no session token, and the agent takes the container's instead.
        token = self._environ.get("AWS_SESSION_TOKEN") or self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") or ""
        port = self._port()
        headers = {"Host": f"localhost:{port}", "X-Aws-Parameters-Secrets-Token": token}
        try:
            response = self._transport.exchange(
                ("http", "localhost", port),
                build_request("GET", target, headers),
                connect_timeout_s=_CONNECT_S,
                deadline=None if left_s is None else now[1] + left_s,
                resend=True,
            )
        except ConnectError as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                self._absent = True
            elif left_s is None or left_s >= _CONNECT_S:
                self._unanswered = now
            else:  # it had less time than it is given
                raise DeadlineExceededError(f"{what}: the invocation has too little time left for a request") from error
            return None
        except ExchangeError as error:
            if left_s is not None and (self._budget() or 0.0) <= 0.0:
                raise DeadlineExceededError(f"{what}: the extension did not answer in time") from error
            raise NetworkError(f"{what}: the extension did not answer. {error}", **context) from error
        return _checked(response, context)

    def _port(self) -> int:
        try:
            return int(self._environ.get("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT") or _PORT)
        except ValueError:
            return _PORT


def _selected(name: str) -> list[tuple[str, str]]:
    """Name, and the version or label behind its last part; the colons of an ARN stand before the last slash."""
    path, slash, last = name.rpartition("/")
    last, _, selector = last.partition(":")
    chosen = [("version" if selector.isdigit() else "label", selector)] if selector else []
    return [("name", f"{path}{slash}{last}"), *chosen]


def _each(names: Sequence[str], ask: Callable[[str], T | None]) -> dict[str, T | FetchError] | None:
    """What `ask` tells of each name, its error included; None as soon as it has to be told by another backend."""
    values: dict[str, T | FetchError] = {}
    for name in names:
        try:
            value = ask(name)
        except FetchError as error:
            values[name] = error
        else:
            if value is None:
                return None
            values[name] = value
    return values


def _checked(response: Response, context: dict[str, Any]) -> Answer | None:
    request_id = response.headers.get("x-amzn-requestid")
    if response.status == _OK:
        return Answer(document(response.body), context | {"status": response.status, "request_id": request_id})
    if response.status == _BAD_REQUEST and b"not ready to serve traffic" in response.body:
        return None
    raise service_error(
        **context,
        code=_code(response.body),
        status=response.status,
        message="",  # what a local process says may hold anything
        request_id=request_id,
    )


def _code(body: bytes) -> str | None:
    """The service's error code, which the extension quotes within its own text."""
    for word in body.decode("utf-8", "replace").replace('"', " ").replace(":", " ").replace(",", " ").split():
        if error_class(word, None) is not error_class(None, None):
            return word
    return None
