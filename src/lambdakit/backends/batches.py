"""Which part of an answer to a batch belongs to which of the names that were asked for."""

from __future__ import annotations

from .answers import parameter_value, secret_value
from .errors import service_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from ..exceptions import FetchError
    from . import Parameter, Secret
    from .answers import Answer

_MAX_SHOWN = 200  # characters of all the names in one message
_SUFFIX = len("-") + 6  # what Secrets Manager adds to a name in an ARN, and users may leave out


def joined(names: Iterable[str]) -> str:
    """The names of a batch, for messages."""
    text = ", ".join(names)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def pages(fetch: Callable[[dict[str, str]], Answer]) -> Iterator[Answer]:
    """All pages of an answer; `fetch` takes what is to be added to the request."""
    last: str | None = None
    while True:
        answer = fetch({} if last is None else {"NextToken": last})
        yield answer
        following = answer.read(lambda members: members.get("NextToken"))
        if not following:
            return
        if following == last:
            raise answer.foreign()  # it would go on for ever
        last = following


def secrets(answers: Iterable[Answer], names: Sequence[str]) -> dict[str, Secret | FetchError]:
    """The answers to BatchGetSecretValue, by name."""
    exact: dict[str, Secret] = {}
    partial: dict[str, Secret] = {}
    errors: dict[str, tuple[Answer, dict[str, Any]]] = {}

    def sort(members: dict[str, Any]) -> None:
        for entry in members.get("SecretValues") or ():
            value = secret_value(entry)
            exact[entry["Name"]] = exact[entry["ARN"]] = value
            partial[entry["ARN"][:-_SUFFIX]] = value
        for entry in members.get("Errors") or ():
            errors.update(dict.fromkeys(_identities(entry["SecretId"]), (answer, entry)))

    for answer in answers:
        answer.read(sort)
    found: dict[str, Secret | FetchError] = {}
    for name in names:
        # A secret's whole ARN can look like another's partial one: what is exact goes first.
        value = exact.get(name) or partial.get(name)
        if value is not None:
            found[name] = value
        elif name in errors:
            found[name] = _refused(name, *errors[name])
    return found


def _identities(identifier: str) -> tuple[str, ...]:
    """What may have been asked for where an error names `identifier`: this, a partial ARN, a name."""
    if not identifier.startswith("arn:"):
        return (identifier,)
    partial = identifier[:-_SUFFIX]
    return partial.partition(":secret:")[2], partial, identifier


def _refused(name: str, answer: Answer, entry: dict[str, Any]) -> FetchError:
    said: dict[str, Any] = answer.about | {"name": name}
    return service_error(**said, code=entry.get("ErrorCode"), message=str(entry.get("Message") or ""))


def parameters(answer: Answer, names: Sequence[str]) -> dict[str, Parameter | FetchError]:
    """The answer to GetParameters, by name."""
    known = answer.read(_parameters_by_identity)
    missing = answer.read(_invalid)
    found: dict[str, Parameter | FetchError] = {}
    for name in names:
        if name in known:
            found[name] = known[name]
        elif name in missing:
            # The code that the service has for the same name in GetParameter; here it has none.
            found[name] = _refused(name, answer, {"ErrorCode": "ParameterNotFound"})
    return found


def _invalid(members: dict[str, Any]) -> frozenset[str]:
    return frozenset(members.get("InvalidParameters") or ())


def _parameters_by_identity(members: dict[str, Any]) -> dict[str, Parameter]:
    """By everything that identifies one: name or ARN, with the selector that was asked for or the version."""
    versions: dict[str, Parameter] = {}
    chosen: dict[str, Parameter] = {}
    newest: dict[str, int] = {}
    for entry in members["Parameters"]:
        value, version = parameter_value(entry), int(entry["Version"])
        for identity in (entry["Name"], entry.get("ARN") or entry["Name"]):
            versions[f"{identity}:{version}"] = value
            key = f"{identity}{entry.get('Selector') or ''}"
            # Of several without a selector, from a server that does not repeat it, the newest is that of the name.
            if version >= newest.get(key, version):
                chosen[key], newest[key] = value, version
    return versions | chosen


def parameters_by_name(members: dict[str, Any]) -> dict[str, Parameter]:
    """One page of GetParametersByPath, by full name."""
    return {entry["Name"]: parameter_value(entry) for entry in members["Parameters"]}
