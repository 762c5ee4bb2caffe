"""A run in Markdown: its figures, its claims, the tables of pages."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from benchmarks.effects import EFFECTS
from benchmarks.report import markdown, words

from reporting import content, effect, row, sample


def test_every_row_of_the_document_is_in_the_figures() -> None:
    """With its ratio, its interval, and each claim as held or not."""
    document = sample()
    lines = markdown.figures(document).splitlines()
    for one in document["effects"]:
        for line in one["rows"]:
            (found,) = {text for text in lines if f"| {line['what']} |" in text and not text.startswith("| [`")}
            assert words.result(line) in found
            assert words.interval(line) in found
            for claim in line["claims"]:
                assert f"{words.claim(claim['text'])}: {'held' if claim['held'] else '**not held**'}" in found


def test_a_bar_does_not_end_a_cell() -> None:
    """Whatever a row is called, the table has its columns."""
    assert "| a \\| b |" in markdown.figures(content(effect("e", row(what="a | b"))))


def test_every_link_within_the_figures_has_its_heading() -> None:
    """A link to an effect leads to its section; headings are the effects' names, which become their anchors."""
    text = markdown.figures(sample())
    links = {*re.findall(r"\]\(#([\w-]+)\)", text)}
    assert links
    assert links <= {*re.findall(r"^#+ ([\w-]+)$", text, re.MULTILINE)}


def test_the_published_document_has_every_figure() -> None:
    """Rows to the last digit, samples of every process to the fifth; no evidence, and what was not measured."""
    document = sample()
    document["effects"][0] |= {"evidence": {"not measured": "no server"}, "pyperf": {"version": "1.0"}}
    kept = json.loads(markdown.document(document))
    for one, other in zip(document["effects"], kept["effects"], strict=True):
        assert one["rows"] == other["rows"]
        assert other["evidence"] == {}
        assert "pyperf" not in other
        for name, samples in one["series"].items():
            for process, short in zip(samples["processes"], other["series"][name]["processes"], strict=True):
                assert short == pytest.approx(process, rel=1e-4)
    assert kept["effects"][0]["not_measured"] == "no server"
    assert markdown.document(kept) == markdown.document(document)


def test_the_figures_say_what_went_wrong() -> None:
    """An effect that failed, one that was not verified, one that was not measured, a run of a sample."""
    document = content(
        effect("failed", error="the process ended with 1"),
        effect("unverified", row(stable=False), passed=False),
        effect("missing", not_measured="no PostgreSQL here"),
        sample="Made up.",
        broken=True,
    )
    text = markdown.figures(document)
    for expected in (
        "**Broken on purpose**",
        "**A sample.** Made up.",
        "2 not verified",
        "1 not measured",
        "| [`failed`](#failed) | could not be measured |  |",
        "**Not verified**: the work was done.",
        "Not measured: no PostgreSQL here.",
        "unstable",
    ):
        assert expected in text


# The table of an effect


def series(median: float, unit: str = "µs") -> dict[str, Any]:
    return {"unit": unit, "median": median, "processes": [[median], [median + 1]]}


CONTENT: dict[str, Any] = {
    "schema": 1,
    "mode": "full",
    "machine": {
        "cpu": "Made Up",
        "cores": 2,
        "python": "3.11.7",
        "python_implementation": "CPython",
        "packages": {"urllib3": "2.5.0"},
    },
    "effects": [
        {"name": "preload", "rows": [], "series": {"other, plain, 0 ms away": series(1)}},
        {
            "name": "keep_alive",
            "rows": [
                {"what": "GET, against urllib3's pool", "claims": [{"text": "<= 1.1x", "held": True}]},
                {"what": "GET, against requests.Session", "claims": [{"text": "<= 1x", "held": False}]},
                {"what": "GET, against nothing", "claims": []},
            ],
            "series": {
                "urllib3's pool, plain, 0 ms away": series(280),
                "lambdakit.http.get, plain, 0 ms away": series(301.4),
                "requests.Session, plain, 0 ms away": series(299),
                "lambdakit.http.get, TLS, 0 ms away": series(367),
                "requests.Session, TLS, 0 ms away": series(1883),
                "lambdakit.http.get, plain, 20 ms away": series(20_301),
                "lambdakit.http.get, lost": series(0, "requests"),
            },
        },
    ],
}
TABLE = """| | plain | TLS |
|---|---:|---:|
| urllib3's pool | 280 µs |  |
| `requests.Session` | 299 µs | 1,883 µs |
| `lambdakit.http.get` | 301 µs | 367 µs |

What is claimed of `lambdakit.http.get`:

- GET, against urllib3's pool: ≤ 1.1\N{MULTIPLICATION SIGN}, held
- GET, against requests.Session: ≤ 1\N{MULTIPLICATION SIGN}, **not held**

Medians over 2 processes: Made Up, 2 cores, CPython 3.11.7, urllib3 2.5.0, the full set."""


def test_a_table_is_written_from_the_document() -> None:
    """The fastest way first, as far as it was measured; claims that do not hold say so."""
    assert markdown.table(CONTENT, "keep_alive") == TABLE


def test_the_unmeasured_has_no_table() -> None:
    """An effect that the document does not have, or has no figures of."""
    without, failed = copy.deepcopy(CONTENT), copy.deepcopy(CONTENT)
    del without["effects"][1]
    failed["effects"][1] |= {"rows": [], "series": {}}
    assert markdown.table(without, "keep_alive") is None
    assert markdown.table(failed, "keep_alive") is None


def test_a_sample_is_called_one() -> None:
    """Figures of a busy machine are not shown as if they were none."""
    text = markdown.table(CONTENT | {"sample": "Made on a busy machine."}, "keep_alive")
    assert "\n**A sample.** Made on a busy machine. Medians over" in str(text)


def test_no_claims_are_not_told_of() -> None:
    """As of a document that has peers only."""
    document = copy.deepcopy(CONTENT)
    document["effects"][1]["rows"] = []
    assert "claimed" not in str(markdown.table(document, "keep_alive"))


def test_each_table_is_of_an_effect() -> None:
    """A name that is changed in one place only would leave old figures for ever."""
    assert {*markdown.tables()} <= {*EFFECTS}


# The claims

TIMES = "\N{MULTIPLICATION SIGN}"


def test_the_claims_of_the_readme() -> None:
    """Of each effect all that it claims, or the row that is sure; nothing that is unstable, not held, not verified."""
    nothing = [
        effect("not verified", row(), passed=False),
        effect("failed", row(), error="the process ended with 1"),
        effect("unstable", row(stable=False)),
        effect("not held", row(held=False)),
        effect("nothing claimed", row(held=None)),
    ]
    document = content(
        effect("all", row(what="a call"), row(what="clearer", low=5, ratio=6, high=7), claim="It is fast."),
        effect("some", row(what="a call"), row(what="clearer", low=5, stable=False), claim="It is fast."),
        effect("counted", row(what="calls", unit="calls", difference=-9) | {"ratio": None}, claim="It asks once."),
        *(one | {"claim": "It is fast."} for one in nothing),
    )
    assert markdown.claims(document).splitlines() == [
        "| what is claimed | what was measured | 95 % interval |",
        "|---|---|---|",
        f"| [It is fast.](docs/benchmarks.md#all) | clearer: 6{TIMES} | 5\N{EN DASH}7 |",
        f"| [`some`, a call: ≥ 2{TIMES} less](docs/benchmarks.md#some) | a call: 3{TIMES} | 2\N{EN DASH}4 |",
        "| [It asks once.](docs/benchmarks.md#counted) | calls: \N{MINUS SIGN}9 calls | \N{EN DASH} |",
    ]
