"""The first request of an SDK client, prepared up to the point where it would cost money."""

from __future__ import annotations

import sys
from contextlib import suppress

from .._diagnostics import hide_locals, moto_is_active
from .._environment import environment
from ..exceptions import AccessDeniedError, ConfigurationError, DeadlineExceededError, NetworkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def prime(client: Any) -> bool:
    """Have a client's first request find its connection ready: credentials, endpoint, TCP and TLS, without a request.

    Nothing billable is sent. For INIT: ``@handler(preload=[lambda: lambdakit.prime(lambdakit.client("dynamodb"))])``.

    Args:
        client: an SDK client of any service, of lambdakit's or not, or a resource.

    Returns:
        True if a connection stands ready, False where this botocore or a proxy leaves no way to open one, and within
        moto's mock.

    Raises:
        ConfigurationError: `client` is no SDK client.
        NetworkError, AccessDeniedError: no connection, no credentials.
        DeadlineExceededError: the invocation, or `preload`, leaves no time for it.

    Thread-safe. Since 0.1.
    """
    client = _client_of(client)
    if moto_is_active():
        return False  # it answers without a connection, and AWS is not to be reached
    _left_s(client)
    try:
        _load_credentials(client)
        url = _endpoint(client)
        pool = _pool(client, url)
        return pool is not None and _open(pool, client, url)
    except BaseException as error:
        hide_locals(error)
        raise


def _client_of(client: Any) -> Any:
    """The client; that of a resource, if it is one."""
    botocore, resources = sys.modules.get("botocore.client"), sys.modules.get("boto3.resources.base")
    is_resource = resources is not None and issubclass(type(client), resources.ServiceResource)
    inner = client.meta.client if is_resource else client
    if botocore is None or not isinstance(inner, botocore.BaseClient):
        raise ConfigurationError(
            f"client: give an SDK client, such as lambdakit.client('dynamodb'), not {type(client).__name__}"
        )
    return inner


def _left_s(client: Any) -> float | None:
    left_s = environment()._budget()
    if left_s is not None and left_s <= 0.0:
        raise DeadlineExceededError(f"prime of {_service(client)}: too little time is left to connect")
    return left_s


def _load_credentials(client: Any) -> None:
    import botocore.exceptions  # loaded with the client already
    from botocore import UNSIGNED

    signer: Any = getattr(client, "_request_signer", None)
    if not hasattr(signer, "_credentials") or client.meta.config.signature_version is UNSIGNED:
        return
    context = _error_context(client, client.meta.endpoint_url)
    try:
        credentials = signer._credentials  # noqa: SLF001 - botocore has no public way to them
        if credentials is None:
            raise botocore.exceptions.NoCredentialsError
        credentials.get_frozen_credentials()
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise NetworkError(
            f"prime of {context['service']}: no answer came from where the credentials come from "
            f"({type(error).__name__}). Check the network.",
            **context,
        ) from error
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        # The last three are botocore's own: a process or a file that is not there, credentials expired by the time
        # they come, a container that is none.
        from .problems import explain  # only on the way to an error

        quoted = type(error).__name__ == "JSONDecodeError"  # it holds what a process has printed
        raise AccessDeniedError(
            f"prime of {context['service']}: no usable credentials {explain(error)}", **context
        ) from (None if quoted else error)


def _endpoint(client: Any) -> str:
    """Where an operation goes that says nothing of where to go; the client's endpoint, if there is no such operation.

    It may be another than the client's: with an account id in the credentials, DynamoDB has one for each account.
    """
    from botocore.exceptions import BotoCoreError  # loaded with the client already

    model = client.meta.service_model
    operations = map(model.operation_model, model.operation_names)
    operation = next((one for one in operations if not one.static_context_parameters), None)
    context = {"client_region": client.meta.region_name, "client_config": client.meta.config}
    url: str = client.meta.endpoint_url
    # What is suppressed: a botocore that does it elsewhere or otherwise, and rules that want more than this.
    with suppress(AttributeError, BotoCoreError, TypeError):
        if operation is not None:
            url = client._resolve_endpoint_ruleset(operation, {}, context)[0]  # noqa: SLF001 - as it does for each call
    return url


def _pool(client: Any, url: str) -> Any:
    """The pool that a request to `url` takes its connection from; None if there is none to be found."""
    try:
        session = client._endpoint.http_session  # noqa: SLF001 - its `send` is what this does the beginning of
        if session._proxy_config.proxy_url_for(url):  # noqa: SLF001 - the same
            return None
        pool = session._manager.connection_from_url(url)  # noqa: SLF001 - the same
        session._setup_ssl_cert(pool, url, session._verify)  # noqa: SLF001 - the same
    except (AttributeError, TypeError):
        return None
    return pool if hasattr(pool, "_get_conn") and hasattr(pool, "_put_conn") else None


def _open(pool: Any, client: Any, url: str) -> bool:
    from urllib3.exceptions import HTTPError  # loaded with the client already

    left_s = _left_s(client)
    connection = pool._get_conn()  # noqa: SLF001 - what its `urlopen` begins and ends with
    try:
        if connection.sock is None:
            if left_s is not None:
                connection.timeout = min(left_s, connection.timeout or left_s)
            connection.connect()
            if url.startswith("https:"):
                connection.__class__ = _unread(type(connection))
    except (HTTPError, OSError) as error:
        connection.close()
        context = _error_context(client, url)
        raise NetworkError(
            f"prime of {context['service']}: no connection to {context['name']} ({type(error).__name__}). "
            "Check the network, the endpoint and, in a VPC, the route to it.",
            **context,
        ) from error
    finally:
        pool._put_conn(connection)  # noqa: SLF001 - the same
    return True


def _unread(kind: type[Any]) -> type[Any]:
    """`kind` of connection, of which nothing may have been read yet.

    A server of TLS 1.3 sends its session tickets after the handshake. To urllib3 a connection where something lies
    unread is a dropped one; so the tickets are read first.
    """
    from .._http.tls import nothing_but_tickets  # 0.3 ms; ssl is loaded with the connection already

    class Unread(kind):  # type: ignore[misc] # a class of urllib3's, known when it is there
        @property
        def is_connected(self) -> bool:
            return self.sock is not None and nothing_but_tickets(self.sock)

    return Unread


def _service(client: Any) -> str:
    name: str = client.meta.service_model.service_name
    return name


def _error_context(client: Any, url: str) -> dict[str, Any]:
    host = url.partition("://")[2].partition("/")[0]
    return {"service": _service(client), "operation": "prime", "name": host, "region": client.meta.region_name}
