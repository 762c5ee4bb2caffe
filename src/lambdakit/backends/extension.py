"""The backend `extension`: AWS's Parameters and Secrets extension, or its agent, on the local port."""

from __future__ import annotations

from ..exceptions import DeadlineExceededError, NetworkError
from .answers import document, parameter_value, read, secret_value
from .errors import kind_of, service_error
from .http1 import ExchangeError, build_request
from .signing import query_string
from .transport import ConnectError, Transport
from .trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._clock import Clock
    from .._settings import Settings
    from . import Backend
    from .http1 import Response

_PORT = 2773
_CONNECT_S = 1.0  # to this machine: it is there at once, or not at all
_OK, _BAD_REQUEST = 200, 400


class ExtensionBackend:
    """Asks the extension in an invocation; falls back to another backend while it is not ready or where it is not.

    That it is absent is learnt only in an invocation (in INIT it may not have begun to listen) and then remembered.
    It knows neither other regions nor KMS: these go to the other backend. Thread-safe.

    Args:
        settings: the port and the token stand in its variables.
        clock: both clocks.
        budget: seconds that a call may take now, None for no limit.
        invoking: whether an invocation is running; nothing waits for the extension in INIT.
        otherwise: the backend to fall back to.
    """

    __slots__ = ("_absent", "_budget", "_clock", "_environ", "_invoking", "_otherwise", "_region", "_transport")

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        budget: Callable[[], float | None],
        invoking: Callable[[], bool],
        otherwise: Backend,
    ) -> None:
        self._environ = settings.environ
        self._region = settings.region
        self._clock = clock
        self._budget = budget
        self._invoking = invoking
        self._otherwise = otherwise
        self._transport = Transport(clock=clock, trust=Trust(environ=self._environ))
        self._absent = False

    @property
    def name(self) -> str:
        """With what is asked instead where it was found to be absent."""
        return f"{self._otherwise.name} (no extension answers)" if self._absent else "extension"

    def get_secret(
        self, name: str, *, region: str | None, version_id: str | None, version_stage: str | None
    ) -> tuple[str | bytes, str | None]:
        """GET /secretsmanager/get."""
        query = [("secretId", name)]
        query += [("versionId", version_id)] if version_id is not None else []
        query += [("versionStage", version_stage)] if version_stage is not None else []
        about = {"service": "secretsmanager", "operation": "GetSecretValue", "name": name, "region": self._region}
        response = self._ask(about, region, f"/secretsmanager/get?{query_string(query)}")
        if response is None:
            return self._otherwise.get_secret(name, region=region, version_id=version_id, version_stage=version_stage)
        value: tuple[str | bytes, str | None] = read(document(response.body), response, about, secret_value)
        return value

    def get_parameter(self, name: str, *, region: str | None, decrypt: bool) -> tuple[str, str | None]:
        """GET /systemsmanager/parameters/get; a version or label behind the name goes where the extension wants it."""
        query = _selected(name)
        query += [("withDecryption", "true")] if decrypt else []
        about = {"service": "ssm", "operation": "GetParameter", "name": name, "region": self._region}
        response = self._ask(about, region, f"/systemsmanager/parameters/get?{query_string(query)}")
        if response is None:
            return self._otherwise.get_parameter(name, region=region, decrypt=decrypt)
        value: tuple[str, str | None] = read(document(response.body), response, about, parameter_value)
        return value

    def decrypt(self, name: str, *, ciphertext: str, context: dict[str, str]) -> bytes:
        """The extension has no KMS."""
        return self._otherwise.decrypt(name, ciphertext=ciphertext, context=context)

    def close(self) -> None:
        """Close the connections, and look for the extension anew."""
        self._transport.close()
        self._absent = False
        self._otherwise.close()

    def _ask(self, about: dict[str, Any], region: str | None, target: str) -> Response | None:
        """A successful answer, or None if the other backend has to be asked."""
        if self._absent or region not in {None, self._region} or not self._invoking():
            return None
        left_s = self._budget()
        what = f"{about['service']} {about['operation']} of {about['name']!r}"
        # Under SnapStart there is no session token, and the agent takes the container's instead.
        token = self._environ.get("AWS_SESSION_TOKEN") or self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") or ""
        port = self._port()
        headers = {"Host": f"localhost:{port}", "X-Aws-Parameters-Secrets-Token": token}
        try:
            response = self._transport.exchange(
                ("http", "localhost", port),
                build_request("GET", target, headers),
                connect_timeout_s=_CONNECT_S,
                deadline=None if left_s is None else self._clock.now()[1] + left_s,
                resend=True,
            )
        except ConnectError:
            self._absent = True
            return None
        except ExchangeError as error:
            if left_s is not None and (self._budget() or 0.0) <= 0.0:
                raise DeadlineExceededError(f"{what}: the extension did not answer in time") from error
            raise NetworkError(f"{what}: the extension did not answer. {error}", **about) from error
        return _checked(response, about)

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


def _checked(response: Response, about: dict[str, Any]) -> Response | None:
    if response.status == _OK:
        return response
    if response.status == _BAD_REQUEST and b"not ready to serve traffic" in response.body:
        return None
    raise service_error(
        **about,
        code=_code(response.body),
        status=response.status,
        message="",  # what a local process says may hold anything
        request_id=response.headers.get("x-amzn-requestid"),
    )


def _code(body: bytes) -> str | None:
    """The service's error code, which the extension quotes within its own text."""
    for word in body.decode("utf-8", "replace").replace('"', " ").replace(":", " ").replace(",", " ").split():
        if kind_of(word, None) is not kind_of(None, None):
            return word
    return None
