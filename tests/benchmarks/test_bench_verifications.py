"""Effects on what is around an invocation: what their verifications look at, and the servers that they stand on."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.effects import (
    EFFECTS,
    ablation,
    client_creation,
    freeze,
    metrics,
    oauth,
    parameter_cache,
    stale_on_error,
    warmup,
)
from benchmarks.framework import cached, micro, processes, results
from benchmarks.framework.effect import Measured
from benchmarks.framework.processes import clean_environ, run_python
from benchmarks.framework.run import Run, Size
from benchmarks.servers.outage import CONNECTION_LOST, ERRORS, OutageServer
from benchmarks.servers.server import control
from benchmarks.servers.token import TokenServer

from verifying import changed, not_verified

TINY = Size(processes=1, samples=1, sample_s=0.001, environments=1, warm=2)
NEW = ("ablation", "client_creation", "freeze", "metrics", "oauth", "parameter_cache", "stale_on_error", "warmup")


@pytest.fixture(scope="module")
def servers() -> Iterator[Run]:
    """What effects are measured with."""
    with Run(TINY) as run:
        yield run


@pytest.mark.soak  # half a minute together
@pytest.mark.parametrize("name", NEW)
def test_with_all_peers_each_row_has_its_figures(name: str, servers: Run) -> None:
    """And all is verified; no two checks have one name."""
    effect = EFFECTS[name]
    measured = effect.measure(servers)
    checks = effect.verify(measured)
    assert not_verified(checks) == []
    assert len({check.what for check in checks}) == len(checks)
    assert results.Outcome(effect=effect, measured=measured).rows == effect.rows
    json.dumps(results.effect_figures(results.Outcome(effect=effect, measured=measured, checks=checks)))


@pytest.fixture(scope="module")
def written(servers: Run) -> Measured:
    """`metrics`, one process of each side."""
    trials = {
        side.name: [micro.trial(servers, side, upstream=False, loops=2, environ=metrics.ENVIRON)]
        for side in metrics.SIDES
    }
    return Measured(series={}, evidence=trials)


def test_metrics_are_verified(written: Measured) -> None:
    """A line for each invocation, which CloudWatch understands; the log has one more."""
    assert not_verified(metrics.verify(written)) == []


@pytest.mark.parametrize("way", [way for way, lines in metrics.LINES.items() if lines])
def test_metrics_that_were_not_written_arenot_verified(way: str, written: Measured) -> None:
    """Of any side, with its handler as it is without them."""
    (done,) = written.evidence[way]
    answer, _, heard = done["answer"]
    other = changed(written, way, answer=[answer, [0, ""], heard])
    compared = [metrics.ALIKE] if way in {metrics.OWN, metrics.AS_MANY} else []
    assert not_verified(metrics.verify(other)) == [metrics.written(way), f"{way}: they are metrics", *compared]


def test_a_line_too_many_isnot_verified(written: Measured) -> None:
    """Nobody watches the control."""
    (done,) = written.evidence[metrics.OFF]
    other = changed(written, metrics.OFF, answer=[done["answer"][0], [1, "{}"], []])
    assert not_verified(metrics.verify(other)) == [metrics.written(metrics.OFF)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "Other", "Metrics": [{"Name": "Duration"}]}]}, "Duration": 1}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "Bench", "Metrics": [{"Name": "Duration"}]}]}}',
    ],
)
def test_what_is_no_metric_is_none(line: str) -> None:
    """No JSON, no directive, another namespace, no value."""
    assert metrics.metrics_of(line) == set()


def _pings(**reached: int) -> dict[str, Any]:
    sides = {"nothing": warmup.NOTHING, "ours": warmup.OURS, "peer": warmup.PEER}
    counts = {"nothing": 3, "ours": 0, "peer": 0} | reached
    return {sides[name]: [{"answer": [None, [count]], "executions": 2}] for name, count in counts.items()}


def _burst(name: str, **changed: Any) -> dict[str, Any]:
    size = int(name.rpartition(", ")[2].partition(" ")[0])
    cold = name.startswith(warmup.COLD)
    answers = [{"answered": number} for number in range(size)]
    return {"answers": answers, "kept": 0 if cold else size, "inits": size if cold else 0} | changed


def _warmed(pings: dict[str, Any], **changed: Any) -> list[str]:
    bursts = {name: [_burst(name)] for name in warmup.WAYS} | changed
    return not_verified(warmup.verify(Measured(series={}, evidence={"pings": pings, "bursts": bursts})))


def test_warmup_is_verified() -> None:
    """As it has to be; a ping that reaches the function is not, of ours and of the peer."""
    assert _warmed(_pings()) == []
    assert _warmed(_pings(ours=3)) == [warmup.UNREACHED]
    assert _warmed(_pings(peer=3)) == [f"{warmup.PEER}: no ping reached the function"]
    assert _warmed(_pings(nothing=2)) == [f"{warmup.NOTHING}: each reached it"]


@pytest.mark.parametrize("name", warmup.WAYS)
def test_a_burst_on_other_environments_isnot_verified(name: str) -> None:
    """One that was too few or too many, one that waited or did not, one that got no answer."""
    burst = _burst(name)
    off_by_one = [_burst(name, kept=burst["kept"] + 1)]
    assert _warmed(_pings(), **{name: off_by_one}) == [warmup.kept(name)]
    others = [_burst(name, inits=0 if burst["inits"] else 1)]
    assert _warmed(_pings(), **{name: others}) == [warmup.met(name)]
    fewer = [_burst(name, answers=burst["answers"][1:])]
    assert _warmed(_pings(), **{name: fewer}) == [f"{name}: every request was answered"]


@pytest.mark.parametrize("prepare", [warmup.ours, warmup.warmer])
def test_a_ping_does_not_reach_the_function(prepare: Any) -> None:
    """Of ours, and of the peer; what is no ping does."""
    names = prepare()
    names["handler"](names["event"], names["context"])
    assert names["reached"] == [0]
    names["handler"]({"order": 1}, names["context"])
    assert names["reached"] == [1]


def test_pings_that_nobody_knows_reach_the_function() -> None:
    """That is how the feature is switched off."""
    names = warmup.unaware()
    names["handler"](names["event"], names["context"])
    assert names["reached"] == [1]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_token_is_issued_once_unless_it_is_forgotten(forgets: bool) -> None:
    """And each of the others at each invocation."""
    with TokenServer(oauth.ROUND_TRIP_MS) as server:
        found = processes.call(
            oauth.timed, environ=clean_environ(), url=server.near, round_=0, samples=1, forgets=forgets
        )
        issued = server.counts()
    evidence = {way: [done | {"issued": issued[oauth.client(way, 0)]}] for way, done in found.items()}
    failed = not_verified(oauth.verify(Measured(series={}, evidence=evidence)))
    assert failed == ([oauth.KEPT] if forgets else [])


def test_a_token_of_another_client_isnot_verified() -> None:
    """Nor one that was issued to nobody."""
    evidence = {
        way: [{"answers": {oauth.client(way, 0): 2}, "calls": 2, "issued": 1 if way == oauth.OURS else 2}]
        for way in oauth.WAYS
    }
    measured = Measured(series={}, evidence=evidence)
    for way in oauth.WAYS:
        other = changed(measured, way, answers={"somebody": 2})
        assert not_verified(oauth.verify(other)) == [f"{way}: each invocation had its token"]
    spared = changed(measured, oauth.REQUESTS, issued=1)
    assert not_verified(oauth.verify(spared)) == [f"{oauth.REQUESTS}: a token for each"]


def test_tokens_have_numbers() -> None:
    """Each is another one, of its client."""
    form = urllib.parse.urlencode({"client_id": "a"}).encode()
    with TokenServer(oauth.ROUND_TRIP_MS) as server:
        told = []
        for url in (server.near, server.url):
            with urllib.request.urlopen(url, form, timeout=10) as answer:  # noqa: S310 - our own server
                told.append(json.loads(answer.read()))
        assert [one["access_token"] for one in told] == ["a.1", "a.2"]
        assert server.counts() == {"a": 2}


def _frozen(**lost: Any) -> Measured:
    """A round in which all lost a request but ours, told as the functions tell it."""
    url = "http://127.0.0.1:1/0/reset"
    right = {name: {"answer": "/0/reset", "error": None, "url": url} for name in freeze.SIDES}
    wrong = {"answer": None, "error": "ProtocolError", "url": url}
    others = {name: wrong for name in freeze.SIDES if not name.startswith(freeze.OURS)}
    one = {"kind": "reset", "before": right, "states": ["T"] * len(freeze.SIDES), "after": right | others}
    return Measured(series={}, evidence={"rounds": [one | lost]})


def test_freeze_is_verified() -> None:
    """As it has to be; not if nothing was lost by anyone, if something ran on, or if nothing was answered before."""
    right = _frozen().evidence["rounds"][0]["before"]
    wrong = _frozen().evidence["rounds"][0]["after"]
    assert not_verified(freeze.verify(_frozen())) == []
    assert not_verified(freeze.verify(_frozen(after=right))) == ["peers lost requests"]
    for states in (["S"] + ["T"] * 7, ["T"]):
        assert not_verified(freeze.verify(_frozen(states=states))) == ["each environment was stopped"]
    assert not_verified(freeze.verify(_frozen(before=wrong))) == ["all were answered before"]


@pytest.mark.parametrize("method", freeze.METHODS)
def test_a_request_that_was_lost_isnot_verified(method: str) -> None:
    """Of ours, one is enough; so is an answer to another one."""
    after = _frozen().evidence["rounds"][0]["after"]
    name = freeze.side(freeze.OURS, method)
    for wrong in ({"answer": None, "error": "ProtocolError"}, {"answer": "/other"}):
        other = _frozen(after=after | {name: after[name] | wrong})
        assert not_verified(freeze.verify(other)) == [freeze.answered(method)]


@pytest.fixture(scope="module")
def outages(servers: Run) -> Iterator[OutageServer]:
    """A service with outages."""
    with OutageServer(servers.upstream.url) as server:
        yield server


def _in_an_outage(server: OutageServer, outage: str, caller: str, **given: str) -> dict[str, Any]:
    """One process of lambdakit in an outage that begins when it has the value."""
    variables = stale_on_error.ACCOUNT | {"AWS_ACCESS_KEY_ID": caller, "AWS_ENDPOINT_URL": server.url} | given
    done: dict[str, Any] = processes.call(
        stale_on_error.invoked,
        environ=clean_environ(**variables),
        way=stale_on_error.OURS,
        url=server.url,
        caller=caller,
        outage=outage,
    )
    return done | {"calls": server.calls()[caller] - done["before"]}


@pytest.mark.parametrize("policy", [True, False])
def test_an_outage_without_a_policy_isnot_verified(policy: bool, outages: OutageServer) -> None:
    """One process in one kind of outage, whose evidence stands for all; the peer's is made of it."""
    given = {} if policy else {"LAMBDAKIT_STALE_TTL": "0"}
    done = _in_an_outage(outages, "fails", f"KEEPS{policy}", **given)
    bare = done | {"values": ["ClientError: an outage"] * len(done["values"])}
    evidence = {
        stale_on_error.cell(way, outage): [done if way == stale_on_error.OURS else bare]
        for way in stale_on_error.WAYS
        for outage in stale_on_error.OUTAGES
    }
    failed = not_verified(stale_on_error.verify(Measured(series={}, evidence=evidence)))
    assert failed == ([] if policy else [stale_on_error.served(outage) for outage in stale_on_error.OUTAGES])


def test_an_outage_is_its_callers_own(outages: OutageServer) -> None:
    """By its access key: others have their answers; each kind is what a client of botocore's makes of it."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError, ConnectionClosedError

    def get(caller: str) -> str:
        session = boto3.Session(aws_access_key_id=caller, aws_secret_access_key="b", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1})
        client = session.client("secretsmanager", endpoint_url=outages.url, config=config)
        try:
            return str(client.get_secret_value(SecretId=stale_on_error.NAME)["SecretString"])
        finally:
            client.close()

    for outage, code in ERRORS.items():
        control(outages.url, "begin", {"caller": outage[:5], "outage": outage})
        with pytest.raises(ClientError) as raised:
            get(outage[:5])
        assert raised.value.response["Error"]["Code"] == code[1]
    control(outages.url, "begin", {"caller": "lost", "outage": CONNECTION_LOST})
    with pytest.raises(ConnectionClosedError):
        get("lost")
    assert get("other") == stale_on_error.TEXT
    assert {"fails": 1, "throt": 1, "lost": 1, "other": 1}.items() <= outages.calls().items()


def test_a_client_that_is_not_bounded_isnot_verified(servers: Run) -> None:
    """boto3's own, in the place of ours: it works all the same."""
    environ = clean_environ(**servers.upstream.variables)
    ours, default = (
        run_python(["-P", str(client_creation.SCRIPT), way], environ=environ)
        for way in (client_creation.OURS, client_creation.DEFAULT)
    )
    evidence = {way: [default | {"calls": {"ListTables": 1}}] for way in client_creation.WAYS}
    right = Measured(series={}, evidence=evidence | {client_creation.OURS: [ours | {"calls": {"ListTables": 1}}]})
    assert not_verified(client_creation.verify(right)) == []
    assert not_verified(client_creation.verify(replace(right, evidence=evidence))) == [client_creation.BOUNDED]
    for way in client_creation.WAYS:
        unseen = changed(right, way, calls={})
        assert not_verified(client_creation.verify(unseen)) == [f"{way}: one call at the server"]


def test_a_parameter_that_is_fetched_each_time_isnot_verified() -> None:
    """Or is another one."""
    calls = {name: parameter_cache.CALLS.get(name, {"GetParameter": 1}) for name in parameter_cache.PEERS}
    evidence = {
        name: [{"answer": parameter_cache.VALUE, "calls": calls.get(name, {"GetParameter": 1})}]
        for name in (parameter_cache.OURS, *parameter_cache.PEERS)
    }
    measured = Measured(series={}, evidence=evidence)
    assert not_verified(parameter_cache.verify(measured)) == []
    for name in evidence:
        again = changed(measured, name, calls={"GetParameter": 2})
        assert not_verified(parameter_cache.verify(again)) == [cached.fetched_once(name)]
        wrong = changed(measured, name, answer="off")
        assert not_verified(parameter_cache.verify(wrong)) == [f"{name}: the value is right"]


@pytest.mark.parametrize("feature", [*ablation.WAYS])
def test_an_ablation_that_asks_for_more_or_less_isnot_verified(feature: str) -> None:
    """Where values are not kept for each of them at each invocation, else for one write; all give one answer."""
    answers = [[{"statusCode": 201}, None]]
    evidence = {
        ablation.way(one): [
            {
                "answers": answers,
                "invocations": 3,
                "warm_calls": dict.fromkeys(ablation.WARM_CALLS.get(one, {"PutItem": 1}), 2),
            }
        ]
        for one in ablation.WAYS
    }
    measured = Measured(series={}, evidence=evidence)
    assert not_verified(ablation.verify(measured)) == []
    other = changed(measured, ablation.way(feature), warm_calls={"PutItem": 2, "GetParameter": 1})
    assert not_verified(ablation.verify(other)) == [ablation.kept(feature)]
    for answer in ([{"statusCode": 500}, None], [{"errorType": "KeyError"}, "Unhandled"], ["created", None]):
        wrong = changed(measured, ablation.way(feature), answers=[answer])
        assert not_verified(ablation.verify(wrong)) == ["all give one answer: an order that was created"]


def test_everything_but_one_thing_is_what_the_function_does(servers: Run) -> None:
    """One environment with everything: a warm invocation only writes; without kept values it asks for all."""
    for feature in (ablation.ALL, ablation.VALUES):
        done = ablation.Function(servers, feature).trial(1)
        assert done["warm_calls"] == ablation.WARM_CALLS.get(feature, {"PutItem": 1})
        assert [one["answer"]["statusCode"] for one in (done["first"], *done["warm"])] == [201, 201]
        assert done["first"]["init_ms"] > 0
