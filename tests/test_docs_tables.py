"""The figures in README.md and in pages of docs/ are what a results document says."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks import docs_tables
from benchmarks.docs_tables import CLAIMS, DOCUMENT, ROOT, main, written
from benchmarks.effects import EFFECTS

BEGIN, END = "<!-- begin: benchmarks keep_alive -->", "<!-- end -->"


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
BLOCK = f"""{BEGIN}
| | plain | TLS |
|---|---:|---:|
| urllib3's pool | 280 µs |  |
| `requests.Session` | 299 µs | 1,883 µs |
| `lambdakit.http.get` | 301 µs | 367 µs |

What is claimed of `lambdakit.http.get`:

- GET, against urllib3's pool: <= 1.1x, held
- GET, against requests.Session: <= 1x, **not held**

Medians over 2 processes: Made Up, 2 cores, CPython 3.11.7, urllib3 2.5.0, the full set.
{END}"""


def test_a_block_is_written_from_the_document() -> None:
    """The fastest way first, as far as it was measured; claims that do not hold say so. The rest of the page stays."""
    page = f"before {END}\n{BEGIN}\nold\n{END}\nafter {END}\n"
    new = written(page, CONTENT)
    assert new == f"before {END}\n{BLOCK}\nafter {END}\n"
    assert written(new, CONTENT) == new


def test_the_unmeasured_leaves_a_block_as_it_is() -> None:
    """An effect that the document does not have, or has no figures of, or that no table is known for."""
    page = f"{BEGIN}\nold\n{END}\n<!-- begin: benchmarks preload -->\nold\n{END}\n"
    without, failed = copy.deepcopy(CONTENT), copy.deepcopy(CONTENT)
    del without["effects"][1]
    failed["effects"][1] |= {"rows": [], "series": {}}
    assert written(page, without) == page
    assert written(page, failed) == page
    assert written("no block", CONTENT) == "no block"


def test_a_sample_is_called_one() -> None:
    """Figures of a busy machine are not shown as if they were none."""
    page = written(f"{BEGIN}\n{END}", CONTENT | {"sample": "Made on a busy machine."})
    assert "\n**A sample.** Made on a busy machine. Medians over" in page


def test_no_claims_are_not_told_of() -> None:
    """As of a document that has peers only."""
    content = copy.deepcopy(CONTENT)
    content["effects"][1]["rows"] = []
    assert "claimed" not in written(f"{BEGIN}\n{END}", content)


def test_a_block_without_an_end_is_an_error() -> None:
    """Rather than the loss of the rest of a page."""
    with pytest.raises(ValueError, match="keep_alive --> there is no <!-- end -->"):
        written(f"{END}\n{BEGIN}\nand so on", CONTENT)


def test_the_program_rewrites_the_pages_that_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names them; from the document that it is given."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("none", "utf-8")
    (tmp_path / "docs" / "b.md").write_text(f"{BEGIN}\n{END}\n", "utf-8")
    (tmp_path / "results.json").write_text(json.dumps(CONTENT), "utf-8")
    for told in ("docs/b.md\n", ""):
        main([str(tmp_path / "results.json")], tmp_path)
        assert capsys.readouterr().out == told
    assert (tmp_path / "docs" / "a.md").read_text("utf-8") == "none"
    assert (tmp_path / "docs" / "b.md").read_text("utf-8") == f"{BLOCK}\n"


def test_each_table_is_of_an_effect_and_in_a_page() -> None:
    """A name that is changed in one place only would leave old figures for ever."""
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert {*docs_tables.TABLES} <= {*EFFECTS}
    assert all(pages.count(f"<!-- begin: benchmarks {name} -->") == 1 for name in docs_tables.TABLES)


def test_the_claims_of_the_readme() -> None:
    """Each with its figure and a link; what was not verified is claimed nowhere, what does not hold says so."""
    effects = [claimed("one"), claimed("two", passed=False), claimed("three", as_difference=True), claimed("four")]
    effects[-1]["rows"][0]["claims"] = []
    page = written(f"{CLAIMS}\nold\n{END}\n", {"effects": effects})
    assert page == (
        f"{CLAIMS}\n| what is claimed | what was measured | claims held |\n|---|---|--:|\n"
        "| [It is fast.](docs/benchmarks.md#one) | a call: 2\N{MULTIPLICATION SIGN}, unstable | 1 of 2 |\n"
        "| [It is fast.](docs/benchmarks.md#three) | a call: \N{MINUS SIGN}1.5 ms, unstable | 1 of 2 |\n"
        f"{END}\n"
    )


def claimed(name: str, *, passed: bool = True, as_difference: bool = False) -> dict[str, Any]:
    """An effect of which one claim of two holds."""
    row: dict[str, Any] = {"what": "a call", "unit": "ms", "difference": -1.5, "as_difference": as_difference}
    row |= {"ratio": 2.0, "ratio_low": 1.9, "stable": False}
    row |= {"claims": [{"text": ">= 2x", "held": True}, {"text": "<= 1 ms", "held": False}]}
    checks = [{"what": "the answers are right", "passed": passed}]
    return {"name": name, "claim": "It is fast.", "rows": [row], "checks": checks, "error": None, "series": {}}


@pytest.mark.skipif(not DOCUMENT.exists(), reason="there is no document of a run")
def test_the_claims_of_the_readme_lead_to_their_figures() -> None:
    """The page of figures has a heading for each of them."""
    sections = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    _, _, table = (ROOT / "README.md").read_text("utf-8").partition(CLAIMS)
    names = re.findall(r"\(docs/benchmarks\.md#(\w+)\)", table.partition(END)[0])
    assert [name for name in names if f"\n#### {name}\n" not in sections] == []
    document = json.loads(DOCUMENT.read_text("utf-8"))
    assert names == [one["name"] for one in document["effects"] if any(row["claims"] for row in one["rows"])]


@pytest.mark.skipif(not DOCUMENT.exists(), reason="there is no document of a run")
def test_the_pages_have_the_figures_of_the_document() -> None:
    """Committed together."""
    content = json.loads(DOCUMENT.read_text("utf-8"))
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        page = path.read_text("utf-8")
        assert page == written(page, content), "run: python -m benchmarks.docs_tables"
