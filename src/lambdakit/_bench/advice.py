"""What lambdakit would change in a function, judged by what was seen of it and by nothing else."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from .trace import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .trace import Group, Seen

DOCS = "https://github.com/lambdakit/lambdakit/blob/main/docs/"
OFTEN = 2  # times in the warm invocations: from then on it is no accident of one of them
DEAR_MS = 10.0  # for an import; less is lost in the noise
SHOWN = 3  # names in one finding

# What lambdakit reads without the SDK, and by which of its functions.
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
        seen: what was seen, with how often.
        change: the line that changes it.
        docs: where that line is explained.
    """

    seen: str
    change: str
    docs: str


def findings(seen: Seen) -> list[Finding]:
    """All that there is to say, the most telling first."""
    rules = (_values, _clients, _connections, _tokens, _loops, _preload, _first_connections, _sdk, _boto3)
    return [finding for rule in rules for finding in rule(seen)]


def how_often(number: int, warm: int) -> str:
    """A number of times, as a rate where it is a whole one."""
    if number % warm == 0:
        times = number // warm
        return f"{'once' if times == 1 else f'{times} times'} per warm invocation"
    return f"{number} times in {warm} warm invocations"


def _values(seen: Seen) -> Iterator[Finding]:
    """A value that does not change is fetched again and again."""
    for group in seen.grouped("call", "service", "operation", "name"):
        service, operation, name = group.key
        getter = READS.get(f"{service}.{operation}")
        if getter is None or name is None or group.times.warm < OFTEN:
            continue
        argument = repr(name.split(", ")) if getter == "get_parameters" else repr(name)
        yield Finding(
            f"The same {'secret' if service == 'secretsmanager' else 'parameter'}, {name!r}, is fetched "
            f"{how_often(group.times.warm, seen.warm)}{_at([group])}.",
            f"lambdakit.{getter}({argument})",
            "values.md",
        )


def _clients(seen: Seen) -> Iterator[Finding]:
    """A client is created in the handler."""
    groups = [group for group in seen.grouped("client", "service") if group.times.warm >= OFTEN]
    if not groups:
        return
    total = sum(group.times.warm for group in groups)
    took_ms = median(event["took_ms"] for group in groups for event in group.events if event["n"] > 1)
    services = list(dict.fromkeys(group.key[0] for group in groups))
    needed = [service for service in services if not _only_reads(seen, service)]
    yield Finding(
        f"SDK clients are created in the handler, {how_often(total, seen.warm)}: {_listed(services)}{_at(groups)}. "
        f"One takes {took_ms:.1f} ms (median), and opens connections of its own.",
        _client_lines(needed) if needed else "no client: the getters of values need none",
        "clients.md",
    )


def _connections(seen: Seen) -> Iterator[Finding]:
    """A connection is opened again and again by what is no SDK client, and not because the server closes it."""
    closing = {event["connection"] for event in seen.of("closing")}
    for group in seen.grouped("connection", "host", "port"):
        warm = [event for event in group.events if event["n"] > 1 and event["id"] not in closing]
        for kind, change, docs in (
            ("http", "lambdakit.http.get(...), or lambdakit.http.requests_session()", "connections.md"),
            ("other", "@lambdakit.singleton  # on the function that connects", "databases.md"),
        ):
            events = [event for event in warm if seen.kind_of(event) == kind]
            if len(events) >= OFTEN:
                times = how_often(len(events), seen.warm)
                where = _at([group._replace(events=events)])
                yield Finding(f"A connection to {_address(*group.key)} is opened {times}{where}.", change, docs)


def _tokens(seen: Seen) -> Iterator[Finding]:
    """An OAuth token is fetched again and again."""
    for group in seen.grouped("token", "place"):
        if group.times.warm >= OFTEN:
            times = how_often(group.times.warm, seen.warm)
            yield Finding(
                f"An OAuth token is fetched with client credentials {times}{_at([group])}.",
                "partner = lambdakit.oauth_token(url, client_id=..., client_secret=...)  # at module level",
                "oauth.md",
            )


def _loops(seen: Seen) -> Iterator[Finding]:
    """An event loop is made again and again."""
    for group in seen.grouped("loop", "place"):
        if group.times.warm >= OFTEN:
            yield Finding(
                f"An event loop is made {how_often(group.times.warm, seen.warm)}{_at([group])}.",
                "@lambdakit.handler  # on `async def handler(event, context)` itself",
                "async.md",
            )


def _preload(seen: Seen) -> Iterator[Finding]:
    """Values are fetched while a caller waits, or one by one in INIT."""
    requests = [event for event in seen.of("request") if event["what"] in SINGLE]
    found = count(requests)
    if found.first == 0 and found.init < OFTEN:
        return
    cold = [call for call in seen.of("call") if call["n"] < OFTEN]
    names = {(f"{call['service']}.{call['operation']}", call["name"]): None for call in cold}
    specs = [f"lambdakit.{SINGLE[what]}({name!r})" for what, name in names if what in SINGLE and name]
    specs = specs or [f"lambdakit.{SINGLE[what]}(...)" for what in dict.fromkeys(event["what"] for event in requests)]
    number = found.init + found.first
    share = "" if found.init == 0 else f"{found.first} of them "
    waiting = f"{share}while the first caller waits" if found.first else "all in INIT"
    listed = ", ".join([*specs[:SHOWN], *(["..."] if len(specs) > SHOWN else [])])
    yield Finding(
        f"{number} {'value is' if number == 1 else 'values are'} fetched by a request each before the first answer, "
        f"{waiting}.",
        f"@lambdakit.handler(preload=[{listed}])  # in INIT, in batches",
        "handler.md#what-is-ready-before-the-first-invocation",
    )


def _first_connections(seen: Seen) -> Iterator[Finding]:
    """A connection that lasts is opened while the first caller waits."""
    changes = {
        "aws": ("@lambdakit.handler(preload=[lambda: lambdakit.prime(client)])", "clients.md#the-first-call"),
        "http": ("@lambdakit.handler(preload=[lambdakit.http.origin(url)])", "connections.md#the-first-request"),
        "other": ("@lambdakit.handler(preload=[the_singleton])", "databases.md#in-init"),
    }
    for group in seen.grouped("connection", "host", "port"):
        found = group.times
        kinds = {seen.kind_of(event) for event in group.events if event["n"] == 1 and not _carries_reads(seen, event)}
        if found.warm or not kinds:
            continue
        for kind in sorted(kinds):
            seen_text = f"The first connection to {_address(*group.key)} is opened while the first caller waits"
            yield Finding(f"{seen_text}{_at([group])}.", *changes[kind])


def _sdk(seen: Seen) -> Iterator[Finding]:
    """The SDK is imported for reads that do without it."""
    made = {event["what"] for event in seen.of("request") if event["aws"]}
    called = {f"{event['service']}.{event['operation']}" for event in seen.of("call")}
    package = next((package for package in seen.packages if package.name in ("boto3", "botocore")), None)
    if package is None or not called or not made | called <= READS.keys() or package.total_ms < DEAR_MS:
        return
    getters = ", ".join(f"lambdakit.{READS[what]}" for what in sorted(called))
    yield Finding(
        f"{_phase(package.invocation)} imports {package.name} ({package.total_ms:.0f} ms). All that it was seen to do "
        f"is {_listed(sorted(called))}, which lambdakit does without it.",
        getters,
        "backends.md",
    )


def _boto3(seen: Seen) -> Iterator[Finding]:
    """boto3 is imported where botocore is enough."""
    services = sorted({event["service"] for event in seen.of("client")})
    packages = {package.name: package for package in seen.packages}
    if not services or "s3" in services or seen.of("resource") or not {"boto3", "botocore"} <= packages.keys():
        return
    spared_ms = packages["boto3"].total_ms - packages["botocore"].total_ms
    if spared_ms < DEAR_MS or any(_sdk(seen)):
        return
    yield Finding(
        f"{_phase(packages['boto3'].invocation)} imports boto3, which takes {spared_ms:.0f} ms more than botocore "
        f"alone, for clients only ({_listed(services)}).",
        _client_lines([service for service in services if not _only_reads(seen, service)]),
        "clients.md",
    )


def _only_reads(seen: Seen, service: str) -> bool:
    called = {f"{service}.{event['operation']}" for event in seen.of("call") if event["service"] == service}
    return bool(called) and called <= READS.keys()


def _carries_reads(seen: Seen, connection: dict[str, object]) -> bool:
    """Whether values came over it, and nothing else."""
    requests = seen.requests_on(connection)
    return bool(requests) and all(request["what"] in READS for request in requests)


def _client_lines(services: Sequence[str]) -> str:
    return "\n".join(f'{s.replace("-", "_")}_client = lambdakit.client("{s}")' for s in services[:SHOWN])


def _at(groups: Sequence[Group]) -> str:
    places = list(dict.fromkeys(place for group in groups for place in group.places))
    return f" ({_listed(places)})" if places else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _address(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"


def _phase(invocation: int) -> str:
    return "INIT" if invocation == 0 else f"Invocation {invocation}"
