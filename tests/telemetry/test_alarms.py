"""The alarms and the dashboard of examples/alarms: valid, and about what lambdakit really writes."""

import json
import operator
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import boto3
import jsonschema
import pytest
from cfnlint.api import lint
from cfnlint.decode import decode_str

import lambdakit
from lambdakit import Environment, ThrottledError
from lambdakit.testing import FakeContext, ManualClock, MemoryBackend
from observing import metrics_of, parsed

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "examples" / "alarms" / "template.yaml").read_text(encoding="utf-8")
DASHBOARD = (ROOT / "examples" / "alarms" / "dashboard.json").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alarms"
GIVEN = {"FunctionName": "orders", "Namespace": "Shop"}
KINDS = {"cold", "proactive", "provisioned", "restored", "managed", "warm"}

# As the reference of CloudWatch describes the body of a dashboard, as far as ours uses it.
_WORD = {"type": "string", "minLength": 1}
_STAT = {"pattern": r"^(SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d+)?)$"}
_RENDERING = {
    "type": "object",
    "properties": {
        "label": _WORD,
        "stat": _STAT,
        "id": {"pattern": "^[a-z][a-zA-Z0-9_]*$"},
        "visible": {"type": "boolean"},
        "yAxis": {"enum": ["left", "right"]},
        "expression": _WORD,
    },
    "additionalProperties": False,
}
_AXIS = {
    "properties": {
        "min": {"type": "number"},
        "max": {"type": "number"},
        "label": _WORD,
        "showUnits": {"type": "boolean"},
    },
    "additionalProperties": False,
}
DASHBOARD_SCHEMA = {
    "type": "object",
    "required": ["widgets"],
    "additionalProperties": False,
    "properties": {
        "start": {"pattern": r"^-P(T\d+[MH]|\d+[DWM])$"},
        "periodOverride": {"enum": ["auto", "inherit"]},
        "variables": {
            "type": "array",
            "maxItems": 25,
            "items": {
                "required": ["type", "inputType", "id", "property"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "property"},
                    "property": _WORD,
                    "inputType": {"enum": ["input", "select", "radio"]},
                    "id": {"pattern": "^[0-9A-Za-z_-]{1,32}$"},
                    "label": {"type": "string", "maxLength": 30},
                    "defaultValue": _WORD,
                    "search": {"type": "string", "maxLength": 2048},
                    "populateFrom": _WORD,
                    "visible": {"type": "boolean"},
                },
                "if": {"properties": {"inputType": {"enum": ["select", "radio"]}}},
                "then": {"required": ["search", "populateFrom"]},
            },
        },
        "widgets": {
            "type": "array",
            "maxItems": 500,
            "items": {
                "required": ["type", "x", "y", "width", "height", "properties"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "metric"},
                    "x": {"type": "integer", "minimum": 0, "maximum": 23},
                    "y": {"type": "integer", "minimum": 0},
                    "width": {"type": "integer", "minimum": 1, "maximum": 24},
                    "height": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "properties": {
                        "required": ["metrics", "region", "title"],
                        "additionalProperties": False,
                        "properties": {
                            "title": _WORD,
                            "region": _WORD,
                            "view": {"enum": ["timeSeries", "singleValue", "gauge", "bar", "pie", "table"]},
                            "stat": _STAT,
                            "stacked": {"type": "boolean"},
                            "period": {"type": "integer", "minimum": 60, "multipleOf": 60},
                            "yAxis": {
                                "properties": {"left": _AXIS, "right": _AXIS},
                                "additionalProperties": False,
                            },
                            "annotations": {
                                "properties": {
                                    "horizontal": {
                                        "items": {
                                            "required": ["value"],
                                            "properties": {"label": _WORD, "value": {"type": "number"}},
                                            "additionalProperties": False,
                                        }
                                    }
                                },
                                "additionalProperties": False,
                            },
                            "metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 500,
                                "items": {"type": "array", "minItems": 1, "items": {"anyOf": [_WORD, _RENDERING]}},
                            },
                        },
                    },
                },
            },
        },
    },
}


def _resolved(  # noqa: PLR0911 - one line for each function of CloudFormation
    node: Any, values: dict[str, Any], conditions: dict[str, bool]
) -> Any:
    """A part of the template as CloudFormation hands it to CloudWatch."""
    match node:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": name}:
            return values[name]
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), text)
        case {"Fn::If": [condition, then, otherwise]}:
            return _resolved(then if conditions[condition] else otherwise, values, conditions)
        case {"Fn::Not": [inner]}:
            return not _resolved(inner, values, conditions)
        case {"Fn::Equals": [one, other]}:
            return _resolved(one, values, conditions) == _resolved(other, values, conditions)
        case dict():
            given = {name: _resolved(value, values, conditions) for name, value in node.items()}
            return {name: value for name, value in given.items() if value is not None}
        case list():
            return [_resolved(item, values, conditions) for item in node]
    return node


def _alarms(**parameters: Any) -> dict[str, Any]:
    """The properties of each alarm of the template, by its name there."""
    template, errors = decode_str(TEMPLATE)
    assert (errors, template is None) == ([], False)
    defaults = {name: about["Default"] for name, about in template["Parameters"].items() if "Default" in about}
    values = defaults | GIVEN | parameters
    conditions = {name: _resolved(one, values, {}) for name, one in template["Conditions"].items()}
    resources = template["Resources"]
    assert {resource["Type"] for resource in resources.values()} == {"AWS::CloudWatch::Alarm"}
    return {name: _resolved(resource["Properties"], values, conditions) for name, resource in resources.items()}


def _statistics(alarm: dict[str, Any]) -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    """What an alarm reads: its own id for it → statistic, namespace, metric, names of dimensions."""
    queries = alarm.get("Metrics", [{"Id": "it", "MetricStat": {"Metric": alarm, "Stat": alarm.get("Statistic")}}])
    found = {}
    for query in queries:
        if "MetricStat" in query:
            stat, metric = query["MetricStat"]["Stat"], query["MetricStat"]["Metric"]
            dimensions = tuple(sorted(dimension["Name"] for dimension in metric["Dimensions"]))
            assert all(dimension["Value"] == "orders" for dimension in metric["Dimensions"])
            found[query["Id"]] = (stat, metric["Namespace"], metric["MetricName"], dimensions)
    return found


Data = dict[tuple[str, tuple[str, ...]], dict[str, list[float]]]
STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "Average": fmean,
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
COMPARISONS = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}


def _breaching(data: Data) -> set[str]:
    """The alarms whose threshold one period with this data is beyond."""
    found = set()
    for name, alarm in _alarms().items():
        known = {
            key: STATISTICS[stat](data[namespace, dimensions][metric])
            for key, (stat, namespace, metric, dimensions) in _statistics(alarm).items()
        }
        expressions = [query["Expression"] for query in alarm.get("Metrics", []) if query.get("ReturnData", True)]
        functions = {"IF": lambda condition, then, otherwise: then if condition else otherwise}
        # The little that ours use of CloudWatch's metric math is Python as well.
        value = eval(expressions[0], functions, known) if expressions else known["it"]  # noqa: S307
        if COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"]):
            found.add(name)
    return found


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Data]:
    """What CloudWatch reads from standard output, since the last time."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")  # so that there is an INIT
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")

    def read() -> Data:
        data: Data = {}
        for line in parsed(capsys.readouterr().out):
            for key, metrics in metrics_of(line).items():
                for name, values in metrics.items():
                    data.setdefault(key, {}).setdefault(name, []).extend(values)
        return data

    return read


@lambdakit.handler(metrics="Shop")
def _handler(event: Any, context: Any) -> None:
    clock: Any = lambdakit.environment().clock
    clock.tick(event["takes_s"])
    context.remaining_s -= event["takes_s"]
    if event["fails"]:
        raise LookupError


def _invoke(*, cold: int = 1, warm: int = 0, failing: int = 0, takes_s: float = 0.0, limit_mb: int = 10_240) -> None:
    """Invocations of a function with a time-out of 10 s: one in each environment, and more in the first of them."""

    def invoke(*, fails: bool = False) -> None:
        context = FakeContext(function_name="orders", remaining_s=10.0)
        context.memory_limit_in_mb = str(limit_mb)
        with pytest.raises(LookupError) if fails else nullcontext():
            _handler({"takes_s": takes_s, "fails": fails}, context)

    for number in range(cold):
        with lambdakit.use_environment(Environment(clock=ManualClock())):
            invoke()
            for _ in range(0 if number else warm):
                invoke()
            for _ in range(0 if number else failing):
                invoke(fails=True)


def test_the_template_is_valid() -> None:
    """By the schemas of CloudFormation that cfn-lint carries, and its rules."""
    assert [str(found) for found in lint(TEMPLATE)] == []


def test_the_snippet_on_the_page_is_valid() -> None:
    """The same, with the transform of SAM; the parameters that it gives exist."""
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [str(found) for found in lint(snippet)] == []
    template, _ = decode_str(snippet)
    ours, _ = decode_str(TEMPLATE)
    given = template["Resources"]["OrdersAlarms"]["Properties"]["Parameters"].keys()
    required = {name for name, about in ours["Parameters"].items() if "Default" not in about}
    assert required <= given <= ours["Parameters"].keys()


def test_the_schemas_find_mistakes() -> None:
    """What the two tests above rely on: a wrong property, a wrong value."""
    wrong = TEMPLATE.replace("Statistic: Sum", "Statistik: Sum").replace("LessThanThreshold", "LowerThan")
    assert sorted({found.rule.id for found in lint(wrong)}) == ["E3002", "E3030"]


def test_the_page_tells_of_every_alarm() -> None:
    """Of no other, and in how many periods of five minutes each has to be beyond its threshold."""
    told = {}
    for name, cells in re.findall(r"^\| `(\w+)` \|(.+)$", PAGE, re.MULTILINE):
        least, most = re.search(r"(\d)(?: of (\d))? periods?", cells).groups()
        told[name] = (int(least), int(most or least))
    alarms = _alarms()
    assert told == {
        name: (alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]), alarm["EvaluationPeriods"])
        for name, alarm in alarms.items()
    }
    for alarm in alarms.values():
        queries = alarm.get("Metrics", [])
        periods = {query["MetricStat"]["Period"] for query in queries if "MetricStat" in query} or {alarm["Period"]}
        assert periods == {300}


def test_alarms_are_about_metrics_that_are_written(written: Callable[[], Data]) -> None:
    """Namespace, dimensions and name, from a line and not from a list."""
    _invoke()
    data = written()
    for name, alarm in _alarms().items():
        for _, namespace, metric, dimensions in _statistics(alarm).values():
            assert metric in data[namespace, dimensions], name


def test_cloudwatch_takes_the_alarms(aws: boto3.Session) -> None:
    """What CloudFormation would send, by botocore's model of the API and moto's; the topic only where there is one."""
    client = aws.client("cloudwatch")
    for topic in ("", TOPIC):
        for name, alarm in _alarms(AlarmTopicArn=topic).items():
            client.put_metric_alarm(AlarmName=f"{name}{bool(topic)}", **alarm)
    kept = {alarm["AlarmName"]: alarm for alarm in client.describe_alarms()["MetricAlarms"]}
    assert len(kept) == 2 * len(_alarms())
    for name in _alarms():
        for actions in ("AlarmActions", "OKActions"):
            assert (kept[f"{name}False"].get(actions, []), kept[f"{name}True"][actions]) == ([], [TOPIC])
        assert kept[f"{name}True"]["TreatMissingData"] == "notBreaching"
    client.close()


@pytest.mark.parametrize(
    ("invocations", "breaching"),
    [
        ({"cold": 3, "warm": 27}, {}),
        ({"cold": 4, "warm": 26}, {"ColdStarts"}),
        ({"cold": 19}, {}),
        ({"cold": 20}, {"ColdStarts"}),
        ({"warm": 37, "failing": 2}, {}),
        ({"warm": 36, "failing": 2}, {"Failures"}),
        ({"takes_s": 9.0}, {}),
        ({"takes_s": 9.01}, {"RemainingTime"}),
    ],
)
def test_what_is_an_alarm(invocations: Any, breaching: Any, written: Callable[[], Data]) -> None:
    """On either side of each threshold, with the numbers and the units that are really written."""
    _invoke(**invocations)
    assert _breaching(written()) == set(breaching)


def test_too_much_memory_is_an_alarm(written: Callable[[], Data]) -> None:
    """Above 90 % of what the function has."""
    _invoke()
    (peak_mb,) = written()["Shop", ("FunctionName",)]["PeakMemory"]
    _invoke(limit_mb=int(peak_mb / 0.85))
    assert _breaching(written()) == set()
    _invoke(limit_mb=int(peak_mb / 0.95))
    assert _breaching(written()) == {"Memory"}


def test_a_stale_value_is_an_alarm(written: Callable[[], Data]) -> None:
    """A service does not answer, the old value is served; one that is fresh is none."""
    clock, backend = ManualClock(), MemoryBackend(secrets={"db": "one"})

    @lambdakit.handler(metrics="Shop")
    def handler(event: Any, context: Any) -> str:
        return lambdakit.get_secret("db", ttl=60)

    context = FakeContext(function_name="orders", remaining_s=8.0)
    context.memory_limit_in_mb = "10240"
    with lambdakit.use_environment(Environment(clock=clock, backend=backend)):
        assert handler({}, context) == "one"
        assert _breaching(written()) == set()
        clock.tick(61)
        backend.secrets["db"] = ThrottledError(
            "too many", service="secretsmanager", operation="GetSecretValue", name="db"
        )
        assert handler({}, context) == "one"
        assert _breaching(written()) == {"StaleValues"}


def _dashboard() -> Any:
    return json.loads(DASHBOARD)


def test_the_dashboard_has_the_structure_of_one() -> None:
    """By the reference of CloudWatch; no two widgets share a place."""
    body = _dashboard()
    jsonschema.Draft202012Validator(DASHBOARD_SCHEMA).validate(body)
    assert all(widget["x"] + widget["width"] <= 24 for widget in body["widgets"])
    for one, other in combinations(body["widgets"], 2):
        apart = [
            a[at] + a[size] <= b[at]
            for a, b in ((one, other), (other, one))
            for at, size in (("x", "width"), ("y", "height"))
        ]
        assert any(apart), (one["properties"]["title"], other["properties"]["title"])


def _shown(body: Any) -> Iterator[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """Namespace, name, dimensions and rendering of each metric of the dashboard."""
    for widget in body["widgets"]:
        for entry in widget["properties"]["metrics"]:
            words = [word for word in entry if isinstance(word, str)]
            rendering = next((word for word in entry if isinstance(word, dict)), {})
            if words:
                namespace, name, *dimensions = words
                yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True)), rendering


def test_the_dashboard_is_about_metrics_that_are_written(written: Callable[[], Data]) -> None:
    """Namespace, dimensions and name, from a line; beside them only what Lambda itself counts. Every kind of start."""
    _invoke()
    data, kinds = written(), set()
    for namespace, name, dimensions, _ in _shown(_dashboard()):
        if namespace == "AWS/Lambda":
            assert (name, dimensions.keys()) == ("Errors", {"FunctionName"})
        else:
            assert name in data[namespace, tuple(sorted(dimensions))]
            kinds.add(dimensions.get("StartKind"))
    assert kinds == KINDS | {None}


def test_every_metric_that_is_written_is_on_the_dashboard(written: Callable[[], Data]) -> None:
    """Nothing is paid for that nobody sees."""
    _invoke()
    shown = {name for _, name, _, _ in _shown(_dashboard())}
    assert written()["Shop", ("FunctionName",)].keys() <= shown


def test_the_expressions_of_the_dashboard_name_what_is_beside_them() -> None:
    """Each widget's expressions use the ids of that widget."""
    for widget in _dashboard()["widgets"]:
        parts = [part for entry in widget["properties"]["metrics"] for part in entry if isinstance(part, dict)]
        ids = {part["id"] for part in parts if "id" in part}
        used = {word for part in parts for word in re.findall(r"[a-z]\w*", part.get("expression", ""))}
        assert used <= ids


def test_cloudwatch_takes_the_dashboard(aws: boto3.Session) -> None:
    """And gives it back as it was; the function is chosen among those that write the metrics."""
    client = aws.client("cloudwatch")
    assert client.put_dashboard(DashboardName="lambdakit", DashboardBody=DASHBOARD)["DashboardValidationMessages"] == []
    body = json.loads(client.get_dashboard(DashboardName="lambdakit")["DashboardBody"])
    assert body == _dashboard()
    (choice,) = [variable for variable in body["variables"] if variable["inputType"] == "select"]
    assert choice["search"] == '{Shop,FunctionName} MetricName="ColdStart"'
    client.close()
