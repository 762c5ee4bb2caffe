"""What lambdakit would change in a function, from its trace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench_parts import WARM, Recorded, imported
from lambdakit._bench import advice
from lambdakit._bench.trace import Count, Trace, count, median_imports

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_imports_of_several_environments_are_medians() -> None:
    """Of the modules that all have, in the order of their imports."""
    runs = [[imported("b", own=own, total=own + 1), imported("a")] for own in (1.0, 9.0, 2.0)]
    runs[1].append(imported("once"))
    assert median_imports(runs) == [imported("b", own=2.0, total=3.0), imported("a")]


def test_a_package_counts_its_outermost_import_once() -> None:
    """With what it imports of others; its own modules apart."""
    imports = [
        imported("a.deep", "a", "b", own=1, total=1),
        imported("b", "a", own=2, total=3),
        imported("a", own=4, total=7),
        imported("a.late", own=5, total=5, n=1),
        imported("c", own=6, total=6, n=2),
    ]
    found = {
        p.name: (p.own_ms, p.total_ms, p.modules, p.invocation)
        for p in Trace(warm=1, events=[], imports=imports).packages
    }
    assert found == {"a": (10, 12, 3, 0), "c": (6, 6, 1, 2), "b": (2, 3, 1, 0)}
    assert list(found) == ["a", "c", "b"]


def test_phases_are_counted_apart() -> None:
    """INIT, the first invocation, all others."""
    assert count([{"n": n} for n in (0, 0, 1, 2, 3, 9)]) == Count(2, 1, 3)


@pytest.mark.parametrize(("invocations", "told"), [([0, 1, 2], False), ([0, 1, 2, 3], True)])
def test_what_happens_twice_is_no_accident(invocations: list[int], told: bool) -> None:
    """Each of these is told from the second warm invocation on."""
    recorded = Recorded()
    for n in invocations:
        recorded.client(n, "sqs")
        recorded.call(n, "GetParameter", "/shop/flags", service="ssm")
        recorded.add("token", n)
        recorded.add("loop", n)
        recorded.request(n, "GET there", aws=False, connection=recorded.connect(n))
        recorded.connect(n, port=5432)
    docs = set(recorded.docs()) & {"clients.md", "values.md", "oauth.md", "async.md", "connections.md", "databases.md"}
    assert docs == (
        {"clients.md", "values.md", "oauth.md", "async.md", "connections.md", "databases.md"} if told else set()
    )


@pytest.mark.parametrize(
    ("times", "said"),
    [(3, "3 times in 4 warm invocations"), (4, "once per warm invocation"), (12, "3 times per warm invocation")],
)
def test_how_often_is_a_rate_where_it_is_a_whole_one(times: int, said: str) -> None:
    """Else both numbers."""
    assert advice.how_often(times, WARM) == said


@pytest.mark.parametrize(
    ("operation", "name", "service", "change"),
    [
        ("GetSecretValue", "prod/db", "secretsmanager", "lambdakit.get_secret('prod/db')"),
        ("GetParameter", "/a", "ssm", "lambdakit.get_parameter('/a')"),
        ("GetParameters", "/a, /b", "ssm", "lambdakit.get_parameters(['/a', '/b'])"),
        ("GetParametersByPath", "/a", "ssm", "lambdakit.get_parameters_by_path('/a')"),
        ("GetSecretValue", None, "secretsmanager", None),
        ("DescribeSecret", "prod/db", "secretsmanager", None),
    ],
)
def test_a_value_that_is_fetched_again_has_its_getter(
    operation: str, name: str | None, service: str, change: str | None
) -> None:
    """A value whose name was not seen, and another operation, have none."""
    recorded = Recorded()
    for n in (2, 3):
        recorded.call(n, operation, name, service=service)
    assert [found.change for found in recorded.findings() if found.docs == "values.md"] == ([change] if change else [])


def test_two_values_are_not_one() -> None:
    """One fetch each in the warm invocations is no repetition."""
    recorded = Recorded()
    recorded.call(2, "GetSecretValue", "prod/db")
    recorded.call(3, "GetSecretValue", "prod/partner")
    assert recorded.docs() == []


def test_clients_in_the_handler_are_named_with_their_lines() -> None:
    """How often, which, what one takes; those that only read values are spared."""
    recorded = Recorded()
    for n in range(2, 2 + WARM):
        recorded.client(n, "secretsmanager")
        recorded.call(n, "GetSecretValue", f"secret-{n}")
        recorded.client(n, "lambda")
    (found,) = (found for found in recorded.findings() if found.docs == "clients.md")
    assert found.seen == (
        "SDK clients are created in the handler, 2 times per warm invocation: secretsmanager, lambda (app.py:1). "
        "One takes 10.0 ms (median), and opens connections of its own."
    )
    assert found.change == 'lambda_client = lambdakit.client("lambda")'


def test_clients_that_only_read_values_need_no_other() -> None:
    """The getters have none."""
    recorded = Recorded()
    for n in (2, 3):
        recorded.client(n, "secretsmanager")
        recorded.call(n, "GetSecretValue", f"secret-{n}")
    assert [found.change for found in recorded.findings() if found.docs == "clients.md"] == [
        "no client: the getters of values need none"
    ]


def test_a_connection_that_the_server_closes_is_not_the_functions_doing() -> None:
    """Nor is one of the SDK's, whose clients are told instead."""
    recorded = Recorded()
    for n in (2, 3, 4):
        closed = recorded.connect(n)
        recorded.request(n, "GET there", aws=False, connection=closed)
        recorded.add("closing", n, connection=closed)
        recorded.request(n, "sqs.SendMessage", connection=recorded.connect(n))
    assert recorded.docs() == []


def test_a_connection_is_judged_by_its_host_where_no_request_names_it() -> None:
    """As under TLS in asyncio; a socket without a port is shown by its path."""
    recorded = Recorded()
    for n in (2, 3):
        recorded.connect(n, port=None)
        recorded.request(n, "GET there", aws=False, host="there:443")
    (found,) = recorded.findings()
    assert (found.docs, "A connection to there is opened 2 times" in found.seen) == ("connections.md", True)


@pytest.mark.parametrize(
    ("invocations", "waiting"),
    [([0], None), ([0, 0], ", all in INIT"), ([1], ", while"), ([0, 1], ", 1 of them while"), ([2, 3], None)],
)
def test_values_before_the_first_answer_can_be_preloaded(invocations: list[int], waiting: str | None) -> None:
    """Two in INIT, or one for which a caller waits; a batch is one already."""
    recorded = Recorded()
    for position, n in enumerate(invocations):
        recorded.call(n, "GetSecretValue", f"secret-{position}")
        recorded.call(n, "GetParameters", f"/{position}", service="ssm")
    found = [found for found in recorded.findings() if found.docs.startswith("handler.md")]
    assert [waiting in one.seen for one in found if waiting] == ([True] if waiting else [])
    assert bool(found) == bool(waiting)
    assert all("lambdakit.secret('secret-0')" in one.change for one in found)


def test_values_without_names_can_be_preloaded_too() -> None:
    """lambdakit's own backend makes requests whose names are not seen; of many names the first are shown."""
    recorded = Recorded()
    recorded.request(1, "secretsmanager.GetSecretValue")
    assert [found.change for found in recorded.findings()] == [
        "@lambdakit.handler(preload=[lambdakit.secret(...)])  # in INIT, in batches"
    ]
    for number in range(4):
        recorded.call(1, "GetSecretValue", f"secret-{number}")
    (found,) = recorded.findings()
    assert "lambdakit.secret('secret-2'), ...])" in found.change
    assert found.seen.startswith("5 values are fetched")


@pytest.mark.parametrize(
    ("what", "aws", "docs"),
    [("sqs.SendMessage", True, "clients.md"), ("GET there", False, "connections.md"), (None, False, "databases.md")],
)
def test_a_connection_that_lasts_can_be_opened_in_init(what: str | None, aws: bool, docs: str) -> None:
    """It is told where a first caller waits for it, and where it is not opened again."""
    recorded = Recorded()
    opened = recorded.connect(1)
    if what:
        recorded.request(1, what, aws=aws, connection=opened)
    assert recorded.docs() == [docs]
    recorded.connect(2)
    assert recorded.docs() == []


@pytest.mark.parametrize("n", [0, 2])
def test_a_connection_of_another_time_is_left_alone(n: int) -> None:
    """In INIT it is where it belongs; once in a warm invocation it is an accident."""
    recorded = Recorded()
    recorded.connect(n)
    assert recorded.docs() == []


def test_a_connection_for_values_comes_with_their_preload() -> None:
    """It is not told twice."""
    recorded = Recorded()
    recorded.request(1, "ssm.GetParameter", connection=recorded.connect(1))
    assert recorded.docs() == ["handler.md"]


SDK = [
    imported("botocore.client", "boto3", total=100.0),
    imported("boto3", total=130.0),
]


def test_an_sdk_for_reads_alone_can_be_spared() -> None:
    """Unless it did something else, was not used, or costs next to nothing."""
    recorded = Recorded()
    recorded.imports = SDK
    assert recorded.docs() == []
    recorded.client(0, "secretsmanager")  # boto3 for a client alone is not told, too
    recorded.call(2, "GetSecretValue", "prod/db")
    (found,) = recorded.findings()
    assert found == advice.Finding(
        "INIT imports boto3 (130 ms). All that it calls is secretsmanager.GetSecretValue, which lambdakit does "
        "without it.",
        "lambdakit.get_secret",
        "backends.md",
    )
    recorded.imports = [imported("boto3", total=9.9)]
    assert recorded.docs() == []
    recorded.imports = SDK
    recorded.call(2, "PutItem", service="dynamodb")
    assert "backends.md" not in recorded.docs()


def test_boto3_for_clients_alone_can_be_spared() -> None:
    """Unless it is needed: for S3, for resources; or makes no difference."""

    def docs(service: str, imports: list[dict[str, Any]], *, resource: bool = False) -> list[str]:
        recorded = Recorded()
        recorded.imports = imports
        recorded.client(0, service)
        if resource:
            recorded.add("resource", 0)
        return [found.change for found in recorded.findings()]

    assert docs("sqs", SDK) == ['sqs_client = lambdakit.client("sqs")']
    assert docs("s3", SDK) == docs("sqs", SDK, resource=True) == docs("sqs", SDK[:1]) == []
    assert docs("sqs", [SDK[0], imported("boto3", total=109.9)]) == []


def test_every_page_that_is_named_is_there() -> None:
    """With the heading that the link goes to."""
    named = set(re.findall(r'"([a-z]+\.md(?:#[a-z-]+)?)"', Path(advice.__file__).read_text()))
    assert len(named) > 8
    for page, _, anchor in (name.partition("#") for name in named):
        lines = (DOCS / page).read_text().splitlines()
        headings = {"-".join(re.findall(r"[a-z0-9]+", line.lower())) for line in lines if line.startswith("#")}
        assert not anchor or anchor in headings


@pytest.mark.parametrize(
    ("by", "change"),
    [
        (None, "lambdakit.http.get(...)"),
        ("request", "preload=[lambdakit.http.origin(url)]"),
        ("an adapter", "preload=[lambda: session.head(url)]"),
    ],
)
def test_origin_is_advised_where_its_connection_is_used(by: str | None, change: str) -> None:
    """By requests of lambdakit.http itself: another library's client, and an adapter, open one of their own."""
    recorded = Recorded()
    recorded.request(1, "GET there", aws=False, connection=recorded.connect(1, by=by), host="there")
    (found,) = recorded.findings()
    assert change in found.change
    assert ("http.origin" in found.change) == (by == "request")
