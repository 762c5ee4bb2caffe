"""What lambdakit would change in a function, from its trace alone."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from .trace import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .trace import Event, Group, Trace

DOCS = "https://github.com/lambdakit/lambdakit/blob/main/docs/"
MIN_REPEATS = 2  # in the warm invocations: what happened in one of them may be an exception
MIN_IMPORT_MS = 10.0  # less is lost in the noise
MAX_NAMES = 3  # in one finding

# The operations that lambdakit calls without the SDK, with the function that does.
READS = {
    "secretsmanager.GetSecretValue": "get_secret",
    "ssm.GetParameter": "get_parameter",
    "ssm.GetParameters": "get_parameters",
    "ssm.GetParametersByPath": "get_parameters_by_path",
}
SINGLE = {"secretsmanager.GetSecretValue": "secret", "ssm.GetParameter": "parameter"}


class Finding(NamedTuple):
    """One thing that lambdakit would change.

    Attributes:
        seen: what was traced, with how often.
        change: the code that changes it.
        docs: the page that explains that code.
    """

    seen: str
    change: str
    docs: str


def findings(trace: Trace) -> list[Finding]:
    """All findings, the most important first."""
    rules = (_values, _clients, _connections, _tokens, _loops, _preload, _first_connections, _sdk, _boto3)
    return [finding for rule in rules for finding in rule(trace)]


def how_often(number: int, warm: int) -> str:
    """A number of times: per invocation where that is a whole number, else in all of them."""
    if number % warm == 0:
        times = number // warm
        return f"{'once' if times == 1 else f'{times} times'} per warm invocation"
    return f"{number} times in {warm} warm invocations"


def _values(trace: Trace) -> Iterator[Finding]:
    """The same value is fetched in several invocations."""
    for group in trace.grouped("call", "service", "operation", "name"):
        service, operation, name = group.key
        getter = READS.get(f"{service}.{operation}")
        if getter is None or name is None or group.times.warm < MIN_REPEATS:
            continue
        argument = repr(name.split(", ")) if getter == "get_parameters" else repr(name)
        yield Finding(
            f"The same {'secret' if service == 'secretsmanager' else 'parameter'}, {name!r}, is fetched "
            f"{how_often(group.times.warm, trace.warm)}{_at([group])}.",
            f"lambdakit.{getter}({argument})",
            "values.md",
        )


def _clients(trace: Trace) -> Iterator[Finding]:
    """Clients are created in the handler."""
    groups = [group for group in trace.grouped("client", "service") if group.times.warm >= MIN_REPEATS]
    if not groups:
        return
    total = sum(group.times.warm for group in groups)
    took_ms = median(event["took_ms"] for group in groups for event in group.events if event["n"] > 1)
    services = list(dict.fromkeys(group.key[0] for group in groups))
    needed = [service for service in services if not _only_reads(trace, service)]
    yield Finding(
        f"SDK clients are created in the handler, {how_often(total, trace.warm)}: {_listed(services)}{_at(groups)}. "
        f"One takes {took_ms:.1f} ms (median), and opens connections of its own.",
        _client_lines(needed) if needed else "no client: the getters of values need none",
        "clients.md",
    )


def _connections(trace: Trace) -> Iterator[Finding]:
    """Connections are opened in several invocations, not by SDK clients, and not because the server closes them."""
    closing = {event["connection"] for event in trace.events("closing")}
    for group in trace.grouped("connection", "host", "port"):
        warm = [event for event in group.events if event["n"] > 1 and event["id"] not in closing]
        for kind, change, docs in (
            ("http", "lambdakit.http.get(...), or lambdakit.http.requests_session()", "connections.md"),
            ("other", "@lambdakit.singleton  # on the function that connects", "databases.md"),
        ):
            events = [event for event in warm if trace.use_of(event) == kind]
            if len(events) >= MIN_REPEATS:
                times = how_often(len(events), trace.warm)
                where = _at([group._replace(events=events)])
                yield Finding(f"A connection to {_address(*group.key)} is opened {times}{where}.", change, docs)


def _tokens(trace: Trace) -> Iterator[Finding]:
    """An OAuth token is fetched in several invocations."""
    for group in trace.grouped("token", "place"):
        if group.times.warm >= MIN_REPEATS:
            times = how_often(group.times.warm, trace.warm)
            yield Finding(
                f"An OAuth token is fetched with client credentials {times}{_at([group])}.",
                "partner = lambdakit.oauth_token(url, client_id=..., client_secret=...)  # at module level",
                "oauth.md",
            )


def _loops(trace: Trace) -> Iterator[Finding]:
    """An event loop is created in several invocations."""
    for group in trace.grouped("loop", "place"):
        if group.times.warm >= MIN_REPEATS:
            yield Finding(
                f"An event loop is created {how_often(group.times.warm, trace.warm)}{_at([group])}.",
                "@lambdakit.handler  # on `async def handler(event, context)` itself",
                "async.md",
            )


def _preload(trace: Trace) -> Iterator[Finding]:
    """Values are fetched in the first invocation, or one by one in INIT."""
    requests = [event for event in trace.events("request") if event["what"] in SINGLE]
    found = count(requests)
    if found.first == 0 and found.init <= 1:
        return
    cold = [call for call in trace.events("call") if call["n"] <= 1]
    names = {(f"{call['service']}.{call['operation']}", call["name"]): None for call in cold}
    specs = [f"lambdakit.{SINGLE[what]}({name!r})" for what, name in names if what in SINGLE and name]
    specs = specs or [f"lambdakit.{SINGLE[what]}(...)" for what in dict.fromkeys(event["what"] for event in requests)]
    number = found.init + found.first
    share = "" if found.init == 0 else f"{found.first} of them "
    waiting = f"{share}while the first caller waits" if found.first else "all in INIT"
    listed = ", ".join([*specs[:MAX_NAMES], *(["..."] if len(specs) > MAX_NAMES else [])])
    yield Finding(
        f"{number} {'value is' if number == 1 else 'values are'} fetched by a request each before the first answer, "
        f"{waiting}.",
        f"@lambdakit.handler(preload=[{listed}])  # in INIT, in batches",
        "handler.md#what-is-ready-before-the-first-invocation",
    )


def _first_connections(trace: Trace) -> Iterator[Finding]:
    """A connection that is kept is opened in the first invocation."""
    changes = {
        "aws": ("@lambdakit.handler(preload=[lambda: lambdakit.prime(client)])", "clients.md#the-first-call"),
        "http": ("lambdakit.http.get(...), whose connection can be opened in INIT", "connections.md#the-first-request"),
        "http by request": (
            "@lambdakit.handler(preload=[lambdakit.http.origin(url)])",
            "connections.md#the-first-request",
        ),
        "http by an adapter": (  # whose pool is its own: no connection of `origin` gets there
            "@lambdakit.handler(preload=[lambda: session.head(url)])  # a request of its own, in INIT",
            "connections.md#the-first-request",
        ),
        "other": ("@lambdakit.handler(preload=[the_singleton])", "databases.md#in-init"),
    }
    for group in trace.grouped("connection", "host", "port"):
        found = group.times
        kinds = {_kind(trace, event) for event in group.events if event["n"] == 1 and not _carries_reads(trace, event)}
        if found.warm or not kinds:
            continue
        for kind in sorted(kinds):
            text = f"The first connection to {_address(*group.key)} is opened while the first caller waits"
            yield Finding(f"{text}{_at([group])}.", *changes[kind])


def _kind(trace: Trace, connection: Event) -> str:
    """What a connection was used for, and by which function of lambdakit's, if by one."""
    use, by = trace.use_of(connection), connection.get("by")
    return f"http by {by}" if use == "http" and by else use


def _sdk(trace: Trace) -> Iterator[Finding]:
    """The SDK is imported, and all its calls are some that lambdakit makes without it."""
    sent = {event["what"] for event in trace.events("request") if event["aws"]}
    called = {f"{event['service']}.{event['operation']}" for event in trace.events("call")}
    package = next((package for package in trace.packages if package.name in ("boto3", "botocore")), None)
    if package is None or not called or not sent | called <= READS.keys() or package.total_ms < MIN_IMPORT_MS:
        return
    getters = ", ".join(f"lambdakit.{READS[what]}" for what in sorted(called))
    yield Finding(
        f"{_phase(package.invocation)} imports {package.name} ({package.total_ms:.0f} ms). All that it calls is "
        f"{_listed(sorted(called))}, which lambdakit does without it.",
        getters,
        "backends.md",
    )


def _boto3(trace: Trace) -> Iterator[Finding]:
    """boto3 is imported, and botocore is enough."""
    services = sorted({event["service"] for event in trace.events("client")})
    packages = {package.name: package for package in trace.packages}
    if not services or "s3" in services or trace.events("resource") or not {"boto3", "botocore"} <= packages.keys():
        return
    saved_ms = packages["boto3"].total_ms - packages["botocore"].total_ms
    if saved_ms < MIN_IMPORT_MS or any(_sdk(trace)):
        return
    yield Finding(
        f"{_phase(packages['boto3'].invocation)} imports boto3, which takes {saved_ms:.0f} ms more than botocore "
        f"alone, for clients only ({_listed(services)}).",
        _client_lines([service for service in services if not _only_reads(trace, service)]),
        "clients.md",
    )


def _only_reads(trace: Trace, service: str) -> bool:
    called = {f"{service}.{event['operation']}" for event in trace.events("call") if event["service"] == service}
    return bool(called) and called <= READS.keys()


def _carries_reads(trace: Trace, connection: dict[str, object]) -> bool:
    """Whether all its requests fetch values."""
    requests = trace.requests_on(connection)
    return bool(requests) and all(request["what"] in READS for request in requests)


def _client_lines(services: Sequence[str]) -> str:
    return "\n".join(f'{s.replace("-", "_")}_client = lambdakit.client("{s}")' for s in services[:MAX_NAMES])


def _at(groups: Sequence[Group]) -> str:
    places = list(dict.fromkeys(place for group in groups for place in group.places))
    return f" ({_listed(places)})" if places else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def _address(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"


def _phase(invocation: int) -> str:
    return "INIT" if invocation == 0 else f"Invocation {invocation}"
