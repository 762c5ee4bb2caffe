"""How a caller names a function: by name, by partial ARN, by full ARN, each with or without a qualifier."""

from __future__ import annotations

import re
from typing import NamedTuple

# Lambda's own pattern (the service model of botocore has it too).
PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_COMPILED = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class Reference(NamedTuple):
    """What a caller asked for; None where the caller left it open."""

    name: str
    qualifier: str | None
    region: str | None
    account: str | None


def parse_reference(text: str) -> Reference | None:
    """The parts of a function's name as callers write it, or None if it is not one."""
    match = _COMPILED.fullmatch(text)
    if match is None:
        return None
    return Reference(match["name"], match["qualifier"], match["region"], match["account"])


def arn(region: str, account: str, name: str, qualifier: str | None) -> str:
    """The full ARN of a function, qualified as it was asked for."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    unqualified = f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    return f"{unqualified}:{qualifier}" if qualifier else unqualified
