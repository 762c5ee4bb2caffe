"""The tables, findings and remarks that a document is shown as."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from ..lab._functions import MB_PER_CORE
from .stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_PACKAGES = 10  # in the table of imports
_WIDTH = 110


class Table(NamedTuple):
    """A table; the columns after the first `left` are figures, aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


def tables(content: dict[str, Any]) -> Iterator[Table]:
    """All tables of a document, in their order."""
    for memory_mb in dict.fromkeys(point["memory_mb"] for point in content["figures"]["memory"]):
        yield _figures(content, memory_mb)
    yield _costs(content)
    for function in content["functions"]:
        yield _calls(function)
        yield _imports(function)


def findings(function: dict[str, Any]) -> Iterator[str]:
    """What lambdakit would change in a function, line by line."""
    traced = f"1 cold and {_plural(function['warm_invocations'], 'warm invocation')}"
    if not function["findings"]:
        yield f"{function['name']}: no findings in {traced}."
        return
    yield f"What lambdakit would change in {function['name']}, from a trace of {traced}:"
    for position, finding in enumerate(function["findings"], 1):
        yield from textwrap.wrap(finding["seen"], _WIDTH, initial_indent=f"{position:2}. ", subsequent_indent="    ")
        yield from (f"      {line}" for line in finding["change"].splitlines())
        yield f"      {finding['docs']}"


def remarks(content: dict[str, Any]) -> Iterator[str]:
    """What is needed to read the tables."""
    options, machine = content["options"], content["machine"]
    each = "each function and memory size" if len(content["functions"]) > 1 else "each memory size"
    yield (
        f"Medians over {_plural(options['cold'], 'environment')} for {each}, with 95 % intervals; "
        f"{_plural(options['warm'], 'warm invocation')} in them. {machine['cores']} cores, {machine['architecture']}, "
        f"Python {options['python_version']}, CPU share by {machine['lab_cpu_method']}. "
        "Compare on this machine; do not take absolute times to Lambda."
    )
    yield from _warnings(content)
    rows = content["rows"]
    if any(row["interval_without"] is None for row in rows):
        yield "No intervals and no verdict: fewer than 5 environments. Give --cold 5 or more."
    elif not all(row["stable"] for row in rows):
        yield "~ unstable: its interval is wider than ±10 %. A quieter machine or a larger --cold helps."
    above = [size for size in options["memory_mb"] if size > MB_PER_CORE * (machine["cores"] or 1)]
    if above:
        most = MB_PER_CORE * machine["cores"]
        yield f"Above {most} MB this machine has no more cores: {_listed(above)} MB may be faster on Lambda."
    if content["answers_equal"] is False:
        yield "The two functions gave different answers to the event: do they do the same work?"
    yield (
        f"USD by the price list of {content['prices']['region']} as of {content['prices']['as_of']}, first tier, INIT "
        "billed; arm64 at the duration measured here. The cost of what the function calls is not in it."
    )
    unseen = sorted({name for function in content["functions"] for name in function["unseen"]})
    if unseen:
        yield f"Not traced, since these modules are not as the tracer expects: {_listed(unseen)}."


def _warnings(content: dict[str, Any]) -> Iterator[str]:
    """What was not measured, what Lambda would not have run, and answers that tell of a failure."""
    for failure in content["failures"]:
        yield f"Not measured at {failure['memory_mb']} MB: {failure['why']}"
    for point in content["figures"]["memory"]:
        if point["max_memory_mb"] > point["memory_mb"]:
            yield (
                f"At {point['memory_mb']} MB {point['side']} used {point['max_memory_mb']:.0f} MB, more than it has: "
                "Lambda would have killed it (Runtime.OutOfMemory)."
            )
    for function in content["functions"]:
        for what, times in function["refusals"].items():
            yield (
                f"{function['name']} answered with {what}, {_plural(times, 'time')}: what was measured is how it "
                "fails. Is the event one that it takes?"
            )


def _figures(content: dict[str, Any], memory_mb: int) -> Table:
    rows = [row for row in content["rows"] if row["memory_mb"] == memory_mb]
    names = [function["name"] for function in content["functions"]]
    columns = ["median", *names, *(["ratio", f"{names[1]} takes"] if len(names) > 1 else ["interval"])]
    shown = []
    for row in rows:
        cells = [row["what"], _measured(row["without"], row["interval_without"], row["unit"])]
        if len(names) > 1:
            ratio = (
                ""
                if row["ratio"] is None
                else f"{number(row['ratio'])}x{_interval(row['ratio_low'], row['ratio_high'])}"
            )
            cells += [_measured(row["with"], row["interval_with"], row["unit"]), ratio, row["verdict"] or ""]
        else:
            cells.append(_interval(*(row["interval_without"] or (None, None))).strip())
        shown.append(cells)
    return Table(f"Time and memory at {memory_mb} MB", columns, shown)


def _measured(value: float, interval: Sequence[float] | None, unit: str) -> str:
    unstable = interval is not None and not Estimate(value, *interval).is_stable
    return f"{'~' if unstable else ''}{number(value)} {unit}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({number(low)} to {number(high)})"


def _costs(content: dict[str, Any]) -> Table:
    columns = ["function", "MB", "billed cold", "billed warm", "cold x86_64", "cold arm64", "warm x86_64", "warm arm64"]
    rows = [
        [
            point["side"],
            str(point["memory_mb"]),
            f"{point['billed_cold_ms']:.1f} ms",
            f"{point['billed_ms']:.1f} ms",
            *(
                f"${point[key][cpu]:.2f}"
                for key in ("usd_per_million_cold", "usd_per_million")
                for cpu in ("x86_64", "arm64")
            ),
        ]
        for point in content["figures"]["memory"]
    ]
    return Table("Cost of a million invocations: all cold, all warm", columns, rows)


def _calls(function: dict[str, Any]) -> Table:
    warm = function["warm_invocations"]

    def row(what: str, *counts: dict[str, int]) -> list[str]:
        init, first, later = (sum(each[phase] for each in counts) for phase in ("init", "first", "warm"))
        return [what, str(init), str(first), number(later / warm)]

    rows = [row(f"client: {each['service']}", each) for each in function["clients"]]
    rows += [row(f"request: {each['what']}", each) for each in function["requests"]]
    rows += [row(f"connection: {address(each)}", each) for each in function["connections"]]
    rows += [row("TLS handshakes", function["handshakes"]), row("event loops", function["loops"])]
    return Table(f"What {function['name']} does", ["how often", "INIT", "first", "each warm"], rows)


def _imports(function: dict[str, Any]) -> Table:
    rows = [
        [
            package["package"],
            f"{package['total_ms']:.1f} ms",
            f"{package['own_ms']:.1f} ms",
            str(package["modules"]),
            "INIT" if package["invocation"] == 0 else f"invocation {package['invocation']}",
        ]
        for package in function["imports"][:MAX_PACKAGES]
    ]
    columns = ["package", "with what it imports", "its own modules", "modules", "in"]
    return Table(f"What {function['name']} imports, the {MAX_PACKAGES} slowest packages", columns, rows)


def address(connection: dict[str, Any]) -> str:
    """Host and port of a connection."""
    host, port = connection["host"], connection["port"]
    return str(host) if port is None else f"{host}:{port}"


def number(value: float) -> str:
    """Three significant digits, and no exponent."""
    if value == 0.0 or abs(value) >= 100.0:  # noqa: PLR2004 - three digits before the point
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
