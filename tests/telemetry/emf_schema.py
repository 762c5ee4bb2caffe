"""The rules of CloudWatch's embedded metric format, as a JSON schema and as what a schema cannot say.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import jsonschema

UNITS = frozenset(botocore.session.get_session().get_service_model("cloudwatch").shape_for("StandardUnit").enum)
_NAME = {"type": "string", "minLength": 1, "maxLength": 255}
_METRIC = {
    "type": "object",
    "required": ["Name"],
    "properties": {"Name": _NAME, "Unit": {"enum": sorted(UNITS)}, "StorageResolution": {"enum": [1, 60]}},
    "additionalProperties": False,
}
_DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": _NAME,
        "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 30, "items": _NAME}},
        "Metrics": {"type": "array", "maxItems": 100, "items": _METRIC},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 0},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": _DIRECTIVE},
            },
        }
    },
}
_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
_LARGEST_EVENT = 1024 * 1024  # bytes


def checked(line: str) -> dict[str, Any]:
    """What a line says, if CloudWatch takes all of it."""
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert len(line.encode()) <= _LARGEST_EVENT
    root: dict[str, Any] = json.loads(line, object_pairs_hook=_without_repetition, parse_constant=_refused)
    _VALIDATOR.validate(root)
    defined: dict[str, str] = {}
    for directive in root["_aws"]["CloudWatchMetrics"]:
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(set(names)) == len(names)
        for metric in directive["Metrics"]:
            assert defined.setdefault(metric["Name"], metric["Unit"]) == metric["Unit"]
            value = root[metric["Name"]]
            values = value if isinstance(value, list) else [value]
            assert 1 <= len(values) <= 100
            assert all(type(one) in (int, float) and abs(one) <= 2.0**360 for one in values)
        for dimension in [dimension for dimensions in directive["Dimensions"] for dimension in dimensions]:
            assert isinstance(root[dimension], str)
            assert 1 <= len(root[dimension]) <= 1024
    assert len(defined) <= 100
    return root


def metrics(root: dict[str, Any], *dimensions: str) -> dict[str, Any]:
    """The values that a line gives to metrics with these dimensions."""
    return {
        metric["Name"]: root[metric["Name"]]
        for directive in root["_aws"]["CloudWatchMetrics"]
        if list(dimensions) in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _refused(constant: str) -> None:
    raise AssertionError(constant)
