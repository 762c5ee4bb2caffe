"""Where a service is reached: the endpoint that a botocore client would use, or None where only botocore knows."""

from __future__ import annotations

from ..exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# A region is one of these prefixes, a word and a number: the patterns of botocore's partitions, without `re`.
# begin: written by tools/regions.py
_SUFFIXES = {
    "us": "amazonaws.com",
    "eu": "amazonaws.com",
    "ap": "amazonaws.com",
    "sa": "amazonaws.com",
    "ca": "amazonaws.com",
    "me": "amazonaws.com",
    "af": "amazonaws.com",
    "il": "amazonaws.com",
    "mx": "amazonaws.com",
    "cn": "amazonaws.com.cn",
    "eusc-de": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "eu-isoe": "cloud.adc-e.uk",
    "us-isof": "csp.hci.ic.gov",
    "us-gov": "amazonaws.com",
}
# end

_VARIABLES = {
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "ssm": "AWS_ENDPOINT_URL_SSM",
    "kms": "AWS_ENDPOINT_URL_KMS",
    "lambda": "AWS_ENDPOINT_URL_LAMBDA",
    "appconfigdata": "AWS_ENDPOINT_URL_APPCONFIGDATA",
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
}
_PORTS = {"http": 80, "https": 443}
_MAX_LABEL = 63  # RFC 1035, section 2.3.4
_MAX_HOST = 255
_MAX_PORT = 65535


class Endpoint:
    """Where requests to one service in one region go. Immutable by convention.

    Attributes:
        scheme: ``"https"``, or ``"http"`` where a configured URL says so.
        host: the name or address to connect to, in lower case; an IPv6 address without brackets.
        port: the port to connect to.
        path: what comes before the path of every request; empty, or as configured.
        region: the region to sign for.
        authority: the value of the ``Host`` header: the host, with the port where it is not the scheme's default.
        url: the whole, as botocore's ``client.meta.endpoint_url`` has it.
    """

    __slots__ = ("authority", "host", "path", "port", "region", "scheme", "url")

    def __init__(self, *, scheme: str, host: str, port: int, path: str, region: str, url: str) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.region = region
        self.url = url
        name = f"[{host}]" if ":" in host else host
        self.authority = name if port == _PORTS[scheme] else f"{name}:{port}"

    def __repr__(self) -> str:
        """The URL and the region."""
        return f"Endpoint({self.url!r}, region={self.region!r})"

    def target(self, path: str) -> str:
        """The path to send for an operation's `path`, such as ``"/"``: after the path of a configured URL."""
        if path == "/":
            return self.path or "/"
        return self.path.removesuffix("/") + path


def endpoint(service: str, region: str | None, environ: Mapping[str, str]) -> Endpoint | None:
    """The endpoint of `service` in `region`, or None if only the SDK can tell.

    None stands for: no region; a region that is in no known partition or is not a plain region (``aws-global``,
    ``fips-us-east-1``); a service that has no place here; a configured URL with a user, a query or a fragment, or of
    DynamoDB with a name of AWS's own.

    Args:
        service: ``"secretsmanager"``, ``"ssm"``, ``"kms"``, ``"lambda"``, ``"appconfigdata"`` or ``"dynamodb"``. Of
            DynamoDB the region's endpoint, which is not that of an account: see `why_not_direct_table`.
        region: the region asked for. It is checked before it becomes part of a host name.
        environ: read for ``AWS_ENDPOINT_URL_SECRETS_MANAGER`` (or that of another service), ``AWS_ENDPOINT_URL`` and
            ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS``. The first that is set and not empty counts.

    Raises:
        ConfigurationError: if the configured URL is not one. The message names the variable, and never its content.
    """
    variable = _VARIABLES.get(service)
    if variable is None or not region:
        return None
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        for name in (variable, "AWS_ENDPOINT_URL"):
            url = environ.get(name)
            if url:
                where = _configured(url, name, region)
                # A name of DynamoDB's own may be one that botocore refuses to be configured: the dual-stack endpoint.
                own = service == "dynamodb" and where is not None and where.host.startswith("dynamodb.")
                return None if own else where
    suffix = _suffix(region)
    if suffix is None:
        return None
    host = f"{service}.{region}.{suffix}"
    return Endpoint(scheme="https", host=host, port=443, path="", region=region, url=f"https://{host}")


def split_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and target (path with query, as written) of an absolute HTTP URL.

    Strict, so that whoever checks a URL and whoever connects to it cannot read it differently.

    Raises:
        ValueError: if it is anything else. The message says what is wrong and never repeats the URL.
    """
    if not (url.isascii() and url.isprintable() and not any(character in ' "<>\\^`{|}' for character in url)):
        raise ValueError("it contains a character that no URL contains")
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in _PORTS:
        raise ValueError("it does not begin with http:// or https://")
    if "#" in rest:
        raise ValueError("it has a fragment")
    end = min(at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0)
    authority, target = rest[:end], rest[end:]
    if "@" in authority:
        raise ValueError("it has a user name")
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        valid = bool(bracket) and (not port or port.startswith(":")) and _is_ipv6(host)
        port = port[1:]
    else:
        host, _, port = authority.partition(":")
        valid = is_host_name(host)
    if not valid:
        raise ValueError("its host is not a host name or an address")
    if port and not (port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise ValueError("its port is not a number from 1 to 65535")
    return scheme, host.lower(), int(port or _PORTS[scheme]), target


def is_host_name(host: str) -> bool:
    """Whether `host` is a DNS name or an IPv4 address as botocore takes one: labels of letters, digits and hyphens."""
    return len(host) <= _MAX_HOST and all(_is_label(label) for label in host.removesuffix(".").split("."))


def _configured(url: str, variable: str, region: str) -> Endpoint | None:
    if any(mark in url for mark in "?#@%") or not _is_signing_region(region):
        return None  # rare, or with a meaning that botocore alone defines
    try:
        scheme, host, port, path = split_url(url)
    except ValueError as error:
        message = f"{variable} is not the URL of an endpoint: {error}. Write it as https://host:port, or unset it"
        raise ConfigurationError(message) from error
    return Endpoint(scheme=scheme, host=host, port=port, path=path, region=region, url=url)


def _suffix(region: str) -> str | None:
    head, _, number = region.rpartition("-")
    prefix, _, word = head.rpartition("-")
    plain = _is_label(region) and word.isalpha() and word.islower() and number.isdigit()
    return _SUFFIXES.get(prefix) if plain else None


def _is_signing_region(region: str) -> bool:
    # As botocore.utils.validate_region_name; names that botocore translates into others are left to it.
    return _is_label(region) and not region.isdigit() and "fips" not in region.lower() and "-global" not in region


def _is_label(label: str) -> bool:
    letters = label.replace("-", "")
    edges = label[:1] + label[-1:]
    return len(label) <= _MAX_LABEL and letters.isascii() and letters.isalnum() and "-" not in edges


def _is_ipv6(text: str) -> bool:
    import socket  # 1.8 ms, and loaded by whoever connects; not paid where no address is configured

    try:
        socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return True
