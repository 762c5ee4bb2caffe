"""Proxies that variables of the environment name, as curl, requests and httpx read them; NO_PROXY too."""

from __future__ import annotations

from urllib.parse import unquote

from urllib3.exceptions import HTTPError
from urllib3.util import make_headers, parse_url

from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}


def proxy_for(environ: Mapping[str, str], url: str) -> str | None:
    """The URL of the proxy for `url`, or None.

    ``https_proxy``, ``http_proxy``, ``all_proxy`` and ``no_proxy``, small or capital; small ones win. ``HTTP_PROXY`` is
    not read where ``REQUEST_METHOD`` is set: there a header of a request could have set it.
    """
    try:
        parsed = parse_url(url)
    except HTTPError:
        return None  # whoever sends it tells what is wrong
    scheme, host = str(parsed.scheme), (parsed.host or "").strip("[]")
    proxy = _variable(environ, f"{scheme}_proxy")
    if proxy is None:
        proxy = _variable(environ, "all_proxy")
    if not proxy or not host or _is_excepted(host, parsed.port or _PORTS[scheme], _variable(environ, "no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value is None and not (name == "http_proxy" and environ.get("REQUEST_METHOD")):
        value = environ.get(name.upper())
    return None if value is None else value.strip()


def _is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names it: a host, with those below it, with a port or without; an address, or a range; ``*``."""
    host = host.lower()
    for entry in no_proxy.lower().replace(",", " ").split():
        name = entry.removeprefix("*").lstrip(".").strip("[]")
        if name.endswith(f":{port}") and name.count(":") == 1:
            name = name.rpartition(":")[0]
        if entry == "*" or host == name or (name and host.endswith(f".{name}")) or ("/" in name and _is_in(host, name)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    import ipaddress  # 3 ms, for who writes ranges

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def checked(proxy: str) -> dict[str, str]:
    """The headers for a proxy, if it is one: who we are, where its URL tells.

    Raises:
        ConfigurationError: its URL is none of http or https.
    """
    try:
        parsed = parse_url(proxy)
    except HTTPError:
        parsed = parse_url("")
    if parsed.scheme not in _PORTS or not parsed.host:
        # Without the URL: it may hold a password.
        raise ConfigurationError(
            "a variable such as HTTPS_PROXY names a proxy that is no URL of http or https; correct it, or name the "
            "host in NO_PROXY"
        )
    return {} if parsed.auth is None else make_headers(proxy_basic_auth=unquote(parsed.auth))
