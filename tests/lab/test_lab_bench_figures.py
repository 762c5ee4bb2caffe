"""`lambdakit bench`: its statistics, its prices, its judgements, its words, as pure functions."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdakit._bench import advice, document, prices, stats, text
from lambdakit._bench.caller import Reply
from lambdakit._bench.measure import Target, Trial
from lambdakit._bench.options import checked
from lambdakit._bench.progress import Progress
from lambdakit._bench.show import show
from lambdakit._bench.trace import Count, Seen, count, merged
from lambdakit.testing import ManualClock

POSITIVE = st.floats(0.001, 1e6)
GROUPS = st.lists(st.lists(POSITIVE, min_size=1, max_size=4), min_size=stats.FEWEST, max_size=8)
WARM = 4
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_a_variable_has_the_value_that_is_given_or_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the first = is the value, also nothing; the last one of a name counts; no repr shows any."""
    monkeypatch.setenv("TAKEN", "planted-value")
    options = checked("a.handler", env=["TAKEN", "EMPTY=", "QUERY=a=b", "TWICE=1", "TWICE=2"])
    assert options.environment == {"TAKEN": "planted-value", "EMPTY": "", "QUERY": "a=b", "TWICE": "2"}
    assert "planted-value" not in repr(options)


@pytest.mark.parametrize(("cold", "warm", "each"), [("20", "200", 10), ("3", "10", 4), ("10", "1", 1)])
def test_warm_invocations_are_spread_evenly(cold: str, warm: str, each: int) -> None:
    """Rounded up, so that each environment has one."""
    assert checked("a.handler", cold=cold, warm=warm).warm_each == each


@given(st.lists(POSITIVE, min_size=1, max_size=12), st.floats(0, 1))
def test_a_share_of_the_values_lies_below_a_percentile(values: list[float], share: float) -> None:
    """Between the extremes, which are its ends."""
    assert min(values) <= stats.percentile(values, share) <= max(values)
    assert (stats.percentile(values, 0.0), stats.percentile(values, 1.0)) == (min(values), max(values))


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_no_percentile_is_made_up(values: list[float], share: float) -> None:
    """Of nothing, or beyond the ends."""
    with pytest.raises(ValueError, match="give at least one value, a share from 0 to 1"):
        stats.percentile(values, share)


@given(GROUPS)
def test_an_estimate_lies_in_its_interval(groups: list[list[float]]) -> None:
    """The same values give the same interval, within the extremes."""
    found = stats.estimate(groups, resamples=50)
    everything = [value for group in groups for value in group]
    assert found.value == median(everything)
    assert found.low is not None
    assert found.high is not None
    assert min(everything) <= found.low <= found.value <= found.high <= max(everything)
    assert stats.estimate(groups, resamples=50) == found


def test_groups_are_drawn_and_not_values() -> None:
    """Many values of few environments that differ say less than the same values of many."""
    together = stats.estimate([[1.0] * 20, [2.0] * 20, [3.0] * 20, [4.0] * 20, [5.0] * 20], fmean)
    apart = stats.estimate([[1.0], [2.0], [3.0], [4.0], [5.0]] * 20, fmean)
    assert _width(together) > 2 * _width(apart)


def _width(found: stats.Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


@given(GROUPS)
def test_a_function_does_not_differ_from_itself(groups: list[list[float]]) -> None:
    """The ratio is 1, and 1 is in the interval."""
    found = stats.ratio(groups, groups, resamples=50)
    assert found.value == 1.0
    assert stats.verdict(found) == "no difference"


@pytest.mark.parametrize(("factor", "said"), [(0.5, "less"), (1.0, "no difference"), (2.0, "more")])
def test_a_difference_has_a_direction(factor: float, said: str) -> None:
    """It says what the other one takes."""
    control = [[10.0], [10.1], [10.2], [10.3], [10.4], [10.5]]
    treatment = [[value * factor for value in group] for group in control]
    found = stats.ratio(control, treatment)
    assert found.value == pytest.approx(1 / factor)
    assert stats.verdict(found) == said


def test_one_at_the_end_of_the_interval_is_in_it() -> None:
    """No difference, on either side."""
    ends = [(0.5, 1.0), (1.0, 2.0), (0.5, 0.999), (1.001, 2.0)]
    said = [stats.verdict(stats.Estimate((low + high) / 2, low, high)) for low, high in ends]
    assert said == ["no difference", "no difference", "more", "less"]


@pytest.mark.parametrize("groups", [[[1.0]], [[1.0], [2.0], [3.0], [4.0]]])
def test_few_environments_give_no_interval(groups: list[list[float]]) -> None:
    """And no verdict; with five there are both."""
    five = [*groups, *[[1.0]] * (5 - len(groups))]
    assert stats.estimate(groups)[1:] == (None, None)
    assert stats.ratio(groups, five)[1:] == stats.ratio(five, groups)[1:] == (None, None)
    assert stats.verdict(stats.ratio(groups, five)) is None
    assert not stats.estimate(groups).is_stable
    assert stats.estimate(five).low is not None


@pytest.mark.parametrize(
    ("control", "treatment"), [([], [[1.0]]), ([[1.0]], []), ([[0.0]], [[1.0]]), ([[1.0]], [[-1.0]])]
)
def test_a_ratio_of_nothing_is_refused(control: list[list[float]], treatment: list[list[float]]) -> None:
    """Rather than shown."""
    with pytest.raises(ValueError, match="values above 0"):
        stats.ratio(control, treatment)


def test_stable_is_within_a_tenth() -> None:
    """On both sides together."""
    estimates = [stats.Estimate(100.0, *ends) for ends in ((90.0, 110.0), (95.0, 115.0), (89.9, 110.0), (None, None))]
    assert [found.is_stable for found in estimates] == [True, True, False, False]


def test_a_million_invocations_cost_time_and_requests() -> None:
    """1 GB for 1 s is a GB-second."""
    assert prices.usd_per_million(1000, 1024) == pytest.approx({"x86_64": 16.8667, "arm64": 13.5334})
    assert prices.usd_per_million(100, 512)["x86_64"] == pytest.approx(16.6667 / 20 + 0.2)


def _imported(name: str, *within: str, own: float = 1.0, total: float = 1.0, n: int = 0) -> dict[str, Any]:
    return {"kind": "import", "n": n, "name": name, "within": list(within), "own_ms": own, "total_ms": total}


def test_imports_of_several_environments_are_medians() -> None:
    """Of the modules that all have, in the order of their imports."""
    runs = [[_imported("b", own=own, total=own + 1), _imported("a")] for own in (1.0, 9.0, 2.0)]
    runs[1].append(_imported("once"))
    assert merged(runs) == [_imported("b", own=2.0, total=3.0), _imported("a")]


def test_a_package_counts_its_outermost_import_once() -> None:
    """With what it imports of others; its own modules apart."""
    imports = [
        _imported("a.deep", "a", "b", own=1, total=1),
        _imported("b", "a", own=2, total=3),
        _imported("a", own=4, total=7),
        _imported("a.late", own=5, total=5, n=1),
        _imported("c", own=6, total=6, n=2),
    ]
    found = {
        p.name: (p.own_ms, p.total_ms, p.modules, p.invocation)
        for p in Seen(warm=1, events=[], imports=imports).packages
    }
    assert found == {"a": (10, 12, 3, 0), "c": (6, 6, 1, 2), "b": (2, 3, 1, 0)}
    assert list(found) == ["a", "c", "b"]


def test_phases_are_counted_apart() -> None:
    """INIT, the first invocation, all others."""
    assert count([{"n": n} for n in (0, 0, 1, 2, 3, 9)]) == Count(2, 1, 3)


class Watched:
    """Builds what was seen, event by event."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.imports: list[dict[str, Any]] = []
        self.connections = 0

    def add(self, kind: str, n: int, **details: Any) -> None:
        self.events.append({"kind": kind, "n": n, "place": "app.py:1"} | details)

    def call(self, n: int, operation: str, name: str | None = None, service: str = "secretsmanager") -> None:
        self.add("call", n, service=service, operation=operation, name=name)
        self.request(n, f"{service}.{operation}")

    def client(self, n: int, service: str) -> None:
        self.add("client", n, service=service, took_ms=10.0)

    def connect(self, n: int, *, port: int | None = 443) -> int:
        self.connections += 1
        self.add("connection", n, id=self.connections, host="there", port=port)
        return self.connections

    def request(self, n: int, what: str, *, aws: bool = True, connection: int | None = None, host: str = "aws") -> None:
        self.add("request", n, what=what, host=host, aws=aws, connection=connection)

    def docs(self) -> list[str]:
        return [found.docs.partition("#")[0] for found in self.findings()]

    def findings(self) -> list[advice.Finding]:
        return advice.findings(Seen(warm=WARM, events=self.events, imports=self.imports))


@pytest.mark.parametrize(("invocations", "told"), [([0, 1, 2], False), ([0, 1, 2, 3], True)])
def test_what_happens_twice_is_no_accident(invocations: list[int], told: bool) -> None:
    """Each of these is told from the second warm invocation on."""
    watched = Watched()
    for n in invocations:
        watched.client(n, "sqs")
        watched.call(n, "GetParameter", "/shop/flags", service="ssm")
        watched.add("token", n)
        watched.add("loop", n)
        watched.request(n, "GET there", aws=False, connection=watched.connect(n))
        watched.connect(n, port=5432)
    docs = set(watched.docs()) & {"clients.md", "values.md", "oauth.md", "async.md", "connections.md", "databases.md"}
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
    watched = Watched()
    for n in (2, 3):
        watched.call(n, operation, name, service=service)
    assert [found.change for found in watched.findings() if found.docs == "values.md"] == ([change] if change else [])


def test_two_values_are_not_one() -> None:
    """One fetch each in the warm invocations is no repetition."""
    watched = Watched()
    watched.call(2, "GetSecretValue", "prod/db")
    watched.call(3, "GetSecretValue", "prod/partner")
    assert watched.docs() == []


def test_clients_in_the_handler_are_named_with_their_lines() -> None:
    """How often, which, what one takes; those that only read values are spared."""
    watched = Watched()
    for n in range(2, 2 + WARM):
        watched.client(n, "secretsmanager")
        watched.call(n, "GetSecretValue", f"secret-{n}")
        watched.client(n, "lambda")
    (found,) = (found for found in watched.findings() if found.docs == "clients.md")
    assert found.seen == (
        "SDK clients are created in the handler, 2 times per warm invocation: secretsmanager, lambda (app.py:1). "
        "One takes 10.0 ms (median), and opens connections of its own."
    )
    assert found.change == 'lambda_client = lambdakit.client("lambda")'


def test_clients_that_only_read_values_need_no_other() -> None:
    """The getters have none."""
    watched = Watched()
    for n in (2, 3):
        watched.client(n, "secretsmanager")
        watched.call(n, "GetSecretValue", f"secret-{n}")
    assert [found.change for found in watched.findings() if found.docs == "clients.md"] == [
        "no client: the getters of values need none"
    ]


def test_a_connection_that_the_server_closes_is_not_the_functions_doing() -> None:
    """Nor is one of the SDK's, whose clients are told instead."""
    watched = Watched()
    for n in (2, 3, 4):
        closed = watched.connect(n)
        watched.request(n, "GET there", aws=False, connection=closed)
        watched.add("closing", n, connection=closed)
        watched.request(n, "sqs.SendMessage", connection=watched.connect(n))
    assert watched.docs() == []


def test_a_connection_is_judged_by_its_host_where_no_request_names_it() -> None:
    """As under TLS in asyncio; a socket without a port is shown by its path."""
    watched = Watched()
    for n in (2, 3):
        watched.connect(n, port=None)
        watched.request(n, "GET there", aws=False, host="there:443")
    (found,) = watched.findings()
    assert (found.docs, "A connection to there is opened 2 times" in found.seen) == ("connections.md", True)


@pytest.mark.parametrize(
    ("invocations", "waiting"),
    [([0], None), ([0, 0], ", all in INIT"), ([1], ", while"), ([0, 1], ", 1 of them while"), ([2, 3], None)],
)
def test_values_before_the_first_answer_can_be_preloaded(invocations: list[int], waiting: str | None) -> None:
    """Two in INIT, or one for which a caller waits; a batch is one already."""
    watched = Watched()
    for position, n in enumerate(invocations):
        watched.call(n, "GetSecretValue", f"secret-{position}")
        watched.call(n, "GetParameters", f"/{position}", service="ssm")
    found = [found for found in watched.findings() if found.docs.startswith("handler.md")]
    assert [waiting in one.seen for one in found if waiting] == ([True] if waiting else [])
    assert bool(found) == bool(waiting)
    assert all("lambdakit.secret('secret-0')" in one.change for one in found)


def test_values_without_names_can_be_preloaded_too() -> None:
    """lambdakit's own backend makes requests whose names are not seen; of many names the first are shown."""
    watched = Watched()
    watched.request(1, "secretsmanager.GetSecretValue")
    assert [found.change for found in watched.findings()] == [
        "@lambdakit.handler(preload=[lambdakit.secret(...)])  # in INIT, in batches"
    ]
    for number in range(4):
        watched.call(1, "GetSecretValue", f"secret-{number}")
    (found,) = watched.findings()
    assert "lambdakit.secret('secret-2'), ...])" in found.change
    assert found.seen.startswith("5 values are fetched")


@pytest.mark.parametrize(
    ("what", "aws", "docs"),
    [("sqs.SendMessage", True, "clients.md"), ("GET there", False, "connections.md"), (None, False, "databases.md")],
)
def test_a_connection_that_lasts_can_be_opened_in_init(what: str | None, aws: bool, docs: str) -> None:
    """It is told where a first caller waits for it, and where it is not opened again."""
    watched = Watched()
    opened = watched.connect(1)
    if what:
        watched.request(1, what, aws=aws, connection=opened)
    assert watched.docs() == [docs]
    watched.connect(2)
    assert watched.docs() == []


@pytest.mark.parametrize("n", [0, 2])
def test_a_connection_of_another_time_is_left_alone(n: int) -> None:
    """In INIT it is where it belongs; once in a warm invocation it is an accident."""
    watched = Watched()
    watched.connect(n)
    assert watched.docs() == []


def test_a_connection_for_values_comes_with_their_preload() -> None:
    """It is not told twice."""
    watched = Watched()
    watched.request(1, "ssm.GetParameter", connection=watched.connect(1))
    assert watched.docs() == ["handler.md"]


SDK = [
    _imported("botocore.client", "boto3", total=100.0),
    _imported("boto3", total=130.0),
]


def test_an_sdk_for_reads_alone_can_be_spared() -> None:
    """Unless it did something else, was not used, or costs next to nothing."""
    watched = Watched()
    watched.imports = SDK
    assert watched.docs() == []
    watched.client(0, "secretsmanager")  # boto3 for a client alone is not told, too
    watched.call(2, "GetSecretValue", "prod/db")
    (found,) = watched.findings()
    assert found == advice.Finding(
        "INIT imports boto3 (130 ms). All that it was seen to do is secretsmanager.GetSecretValue, which lambdakit "
        "does without it.",
        "lambdakit.get_secret",
        "backends.md",
    )
    watched.imports = [_imported("boto3", total=9.9)]
    assert watched.docs() == []
    watched.imports = SDK
    watched.call(2, "PutItem", service="dynamodb")
    assert "backends.md" not in watched.docs()


def test_boto3_for_clients_alone_can_be_spared() -> None:
    """Unless it is needed: for S3, for resources; or makes no difference."""

    def docs(service: str, imports: list[dict[str, Any]], *, resource: bool = False) -> list[str]:
        watched = Watched()
        watched.imports = imports
        watched.client(0, service)
        if resource:
            watched.add("resource", 0)
        return [found.change for found in watched.findings()]

    assert docs("sqs", SDK) == ['sqs_client = lambdakit.client("sqs")']
    assert docs("s3", SDK) == docs("sqs", SDK, resource=True) == docs("sqs", SDK[:1]) == []
    assert docs("sqs", [SDK[0], _imported("boto3", total=109.9)]) == []


def test_every_page_that_is_named_is_there() -> None:
    """With the heading that the link goes to."""
    named = set(re.findall(r'"([a-z]+\.md(?:#[a-z-]+)?)"', Path(advice.__file__).read_text()))
    assert len(named) > 8
    for page, _, anchor in (name.partition("#") for name in named):
        lines = (DOCS / page).read_text().splitlines()
        headings = {"-".join(re.findall(r"[a-z0-9]+", line.lower())) for line in lines if line.startswith("#")}
        assert not anchor or anchor in headings


def _reply(duration_ms: float, *, init_ms: float | None = None, memory_mb: float | None = 40.0) -> Reply:
    return Reply(
        payload=b"1",
        failed=False,
        log="",
        duration_ms=duration_ms,
        billed_ms=float(round(duration_ms + (init_ms or 0.0))),
        init_ms=init_ms,
        memory_mb=memory_mb,
    )


def _content(
    *, cold: int = 6, each: int = 4, against: bool = True, memory_mb: float | None = 40.0, seen: Watched | None = None
) -> dict[str, Any]:
    """A document of made-up figures: the other function takes half, and both start alike."""
    other = {"against": "b.handler"} if against else {}
    options = checked("a.handler", cold=str(cold), warm=str(cold * each), memory="512", **other)
    seen = seen or Watched()
    watched = Seen(warm=WARM, events=seen.events, imports=seen.imports)
    trials = {
        Target(side.label, side, 512): [
            Trial(
                first=_reply(50.0 + number, init_ms=100.0 + number, memory_mb=memory_mb),
                warm=[_reply((10.0 + number / 10) / half, memory_mb=memory_mb) for _ in range(each)],
            )
            for number in range(cold)
        ]
        for side, half in zip(options.sides, (1, 2), strict=False)
    }
    return document.document(
        options, trials, {side.label: watched for side in options.sides}, cpu_method="duty-cycle", answers_equal=None
    )


def test_a_document_is_json_and_says_who_takes_what() -> None:
    """Ratios with their verdicts; costs with INIT in the cold ones."""
    content = json.loads(json.dumps(_content()))
    rows = {row["what"]: row for row in content["rows"]}
    assert rows["INIT"]["verdict"] == "no difference"
    assert (rows["warm p50"]["verdict"], rows["warm p50"]["ratio"]) == ("less", pytest.approx(2.0))
    assert rows["warm p50"]["stable"]
    assert rows["cold start: INIT and first invocation"]["without"] == 155.0
    first, second = content["figures"]["memory"]
    assert (first["billed_cold_ms"], first["billed_ms"], second["billed_ms"]) == (155.0, 10.0, 5.0)
    assert first["usd_per_million_cold"] == pytest.approx(prices.usd_per_million(155.0, 512))
    assert first["usd_per_million"] == pytest.approx(prices.usd_per_million(10.0, 512))


@pytest.mark.parametrize(("each", "shown"), [(3, []), (4, ["p95"]), (19, ["p95"]), (20, ["p95", "p99"])])
def test_a_percentile_takes_enough_invocations(each: int, shown: list[str]) -> None:
    """p95 20 of them, p99 100."""
    whats = [row["what"] for row in _content(cold=5, each=each)["rows"]]
    assert [what.split()[1] for what in whats if what.startswith("warm p9")] == shown


def test_memory_is_left_out_where_the_system_does_not_tell() -> None:
    """Rather than shown as nothing."""
    assert "memory used" in [row["what"] for row in _content()["rows"]]
    assert "memory used" not in [row["what"] for row in _content(memory_mb=None)["rows"]]


def _shown(content: dict[str, Any]) -> str:
    stream = io.StringIO()
    show(content, stream)
    return stream.getvalue()


def test_a_table_shows_figures_and_how_sure_they_are() -> None:
    """Alone with its interval, beside another with the ratio's."""
    alone = _content(against=False)
    (table, *_) = text.tables(alone)
    assert table.columns == ["median", "a.handler", "interval"]
    assert table.rows[0][:2] == ["INIT", "102 ms"]
    (table, *_) = text.tables(_content())
    assert table.rows[3][:3] == ["warm p50", "10.2 ms", "5.12 ms"]
    assert table.rows[3][3].startswith("2x (1.9")
    assert table.rows[3][4] == "less"
    assert "~" not in str(table.rows)


def test_what_cannot_be_relied_on_is_marked() -> None:
    """A wide interval with a sign, and what the sign means; no interval with what to do."""
    content = _content(against=False)
    assert "~" not in _shown(content)
    content["rows"][0] |= {"interval_without": [50.0, 150.0], "stable": False}
    assert "~102 ms" in _shown(content)
    assert "~ its interval is more than ±10 % wide" in _shown(content)
    assert "Give --cold 5 or more" in _shown(_content(cold=4))


def test_remarks_are_made_where_they_are_due() -> None:
    """On cores that are not there, on answers that differ, on what was not watched."""
    content = _content()
    said = "\n".join(text.remarks(content))
    assert not any(words in said for words in ("no more cores", "different answers", "Not watched"))
    content["machine"]["cores"] = 2
    content["options"]["memory_mb"] = [3538, 3539]
    content["answers_equal"] = False
    content["functions"][0]["unseen"] = ["ssl"]
    said = "\n".join(text.remarks(content))
    assert "Above 3538 MB this machine has no more cores to give: 3539 MB may be faster" in said
    assert "different answers" in said
    assert "Not watched, for they are built otherwise than known here: ssl." in said


def test_findings_are_numbered_with_their_line_and_their_page() -> None:
    """Or it is said that there are none."""
    watched = Watched()
    for n in (2, 3):
        watched.call(n, "GetSecretValue", "prod/db")
    (lines, _) = (list(text.findings(function)) for function in _content(seen=watched)["functions"])
    assert lines[0] == "What lambdakit would change in a.handler, by what was seen in 1 cold and 4 warm invocations:"
    assert lines[1].startswith(" 1. The same secret, 'prod/db', is fetched 2 times in 4 warm invocations")
    assert lines[2:] == [
        "      lambdakit.get_secret('prod/db')",
        "      https://github.com/lambdakit/lambdakit/blob/main/docs/values.md",
    ]
    assert "nothing was seen" in "\n".join(text.findings(_content()["functions"][0]))


def test_what_a_function_does_is_shown_by_phase() -> None:
    """The warm invocations as a rate; imports by package."""
    watched = Watched()
    watched.client(0, "sqs")
    for n in (1, 2, 3, 4, 5):
        watched.request(n, "GET there", aws=False)
        watched.connect(n, port=None)
    watched.add("handshake", 1)
    watched.imports = [_imported("lazy", total=5.0, n=1), _imported("app", total=4.0)]
    calls, imports = list(text.tables(_content(against=False, seen=watched)))[-2:]
    assert calls.rows == [
        ["client: sqs", "1", "0", "0"],
        ["request: GET there", "0", "1", "1"],
        ["connection: there", "0", "1", "1"],
        ["TLS handshakes", "0", "1", "0"],
        ["event loops", "0", "0", "0"],
    ]
    assert imports.rows == [["lazy", "5.0 ms", "1.0 ms", "1", "invocation 1"], ["app", "4.0 ms", "1.0 ms", "1", "INIT"]]


PLAIN = """
import importlib.abc, json, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from lambdakit._bench.show import show
show(json.load(sys.stdin), sys.stdout)
"""


def test_without_rich_the_same_is_shown_in_plain_text() -> None:
    """Every cell of every table, in columns."""
    content = _content()
    command = [sys.executable, "-c", PLAIN]
    done = subprocess.run(command, input=json.dumps(content), capture_output=True, text=True, check=True, timeout=60)
    drawn = _shown(content)
    for table in text.tables(content):
        for cell in (table.title, *(cell for row in table.rows for cell in row)):
            assert cell in done.stdout
            assert cell in drawn
    assert "warm p50                              " in done.stdout
    assert "─" in drawn
    assert "─" not in done.stdout


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_written_over_on_a_terminal_and_now_and_then_elsewhere() -> None:
    """With an estimate from the steps so far."""
    clock = ManualClock()
    screen, log = Screen(), io.StringIO()
    shown = [Progress(4, stream=stream, clock=lambda: clock.monotonic_s) for stream in (screen, log)]
    for passed_s in (5.0, 5.0, 2.0):
        clock.tick(passed_s)
        for progress in shown:
            progress.step("a.handler")
    for progress in shown:
        progress.close()
    steps = [f"{done} of 4, about {left} s left: a.handler" for done, left in ((1, 15), (2, 10), (3, 4))]
    assert screen.getvalue() == "".join(f"\r\x1b[2K{step}" for step in [*steps, ""])
    assert log.getvalue() == f"{steps[1]}\n"


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (0.01234, "0.0123"), (99.94, "99.9"), (12345.6, "12,346")])
def test_a_number_has_three_figures(value: float, shown: str) -> None:
    """And no exponent."""
    assert text.number(value) == shown
