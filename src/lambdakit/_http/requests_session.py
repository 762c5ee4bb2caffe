"""A requests session over the environment's pools, which keeps no cookie."""

from __future__ import annotations

import os
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

from .._diagnostics import hide_locals
from ..exceptions import MissingDependencyError
from .policy import CONNECT_S, READ_S, deadline_error, is_deadline_error
from .pools import Pools

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


class RequestsSession:
    """The session, with its adapter; its connections are those of the pools."""

    __slots__ = ("session",)

    def __init__(self, pools: Pools) -> None:
        self.session = Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = Adapter(pools)
        for prefix in ("https://", "http://"):
            self.session.mount(prefix, adapter)

    @classmethod
    def of(cls, env: Environment) -> Self:
        """That of an environment."""
        return cls(env._parts[Pools])


class Session(requests.Session):
    """As requests has it, but for the error when the invocation's time is over."""

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
        directory = os.path.isdir(ca)  # noqa: PTH112 - the same
        return host, {"ssl_context": self._pools.contexts.context(ca=ca, directory=directory, cert=cert)}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context does it."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send it, with a time-out."""
        if options.get("timeout") is None:
            options["timeout"] = (CONNECT_S, READ_S)
        return super().send(request, *args, **options)

    def close(self) -> None:
        """The connections are the environment's."""
