"""A requests session over the environment's pools, which keeps no cookie."""

from __future__ import annotations

import os
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

from .._diagnostics import hide_locals
from ..exceptions import MissingDependencyError
from .policy import CONNECT_S, READ_S, deadline_error, is_deadline_error
from .pools import Pools
from .retries import rewinder

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import DEFAULT_CA_BUNDLE_PATH
except ImportError as error:
    raise MissingDependencyError("requests_session needs requests, which is not installed: install requests") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from .._environment import Environment


_KEEPS_BODY = frozenset((307, 308))


def warm_imports(env: Environment) -> None:  # noqa: ARG001 - what every feature is given
    """What a first request needs beside requests: for INIT, see `_warm_imports`."""
    __import__("netrc")  # 1 ms: requests looks for passwords there


class RequestsSession:
    """The session, with its adapter; its connections are those of the pools."""

    __slots__ = ("_pools", "session")

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.session = Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = Adapter(pools)
        for prefix in ("https://", "http://"):
            self.session.mount(prefix, adapter)

    @classmethod
    def of(cls, env: Environment) -> Self:
        """That of an environment."""
        return cls(env._parts[Pools])

    def open(self, url: str) -> None:
        """Have a connection ready that the first request of the session takes; see `Pools.open`."""
        adapter: Any = self.session.get_adapter(url)
        if not isinstance(adapter, Adapter):
            return  # one that a user has mounted
        told: Any = self.session.merge_environment_settings(url, {}, None, None, None)  # as before each request
        request = requests.Request("GET", url).prepare()
        pool: Any = adapter.get_connection_with_tls_context(
            request, told["verify"], proxies=told["proxies"], cert=told["cert"]
        )
        if pool.proxy is None:
            self._pools.connect(pool)


class Session(requests.Session):
    """As requests has it, but for the error when the invocation's time is over, and for bodies that are gone."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a response leads; nowhere if the body would have to be sent again and cannot be."""
        if resp.status_code in _KEEPS_BODY and rewinder(resp.request.body) is None:
            return None  # requests would send an empty one
        return super().get_redirect_target(resp)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request."""
        try:
            return super().send(request, **options)
        except requests.RequestException as error:
            hide_locals(error)
            if is_deadline_error(error):
                raise deadline_error(str(urlsplit(request.url or "").hostname)) from error
            raise


class Adapter(HTTPAdapter):
    """requests' own, with our pools, time-outs and retries."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        super().__init__(max_retries=pools.retries)

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        """There is one."""
        self.poolmanager = self._pools.manager()

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The proxy's, with pools of ours."""
        manager = super().proxy_manager_for(proxy, **options)
        self._pools.install_pools(manager)
        return manager

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The host, and a context that is made once: requests reads its certificates for each connection."""
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] != "https":
            return host, {}
        if verify is False:
            return host, options  # urllib3 makes a context that trusts everyone
        ca = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
        if not os.path.exists(ca):  # noqa: PTH110 - as requests does
            raise OSError(f"Could not find a suitable TLS CA certificate bundle, invalid path: {ca}")
        return host, {
            "ssl_context": self._pools.contexts.context(ca=ca, cert=tuple(cert) if isinstance(cert, list) else cert)
        }

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context does it."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send it, with a time-out."""
        if options.get("timeout") is None:
            options["timeout"] = (CONNECT_S, READ_S)
        return super().send(request, *args, **options)

    def close(self) -> None:
        """The connections are the environment's."""
