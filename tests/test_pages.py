"""The generated blocks of the README and of the docs: one tool writes them, and what is committed is what it writes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmarks.report import markdown
from tools import failures, pages

from reporting import SAMPLE

TIME = re.compile(r"\b(nano|micro|milli)?seconds?\b|\d ?(ns|µs|ms|s)\b")
RUN: dict[str, Any] = json.loads(SAMPLE.read_text("utf-8"))


def test_the_pages_are_what_the_tool_writes() -> None:
    """Each block of each page: the laws of the fault tests, the figures of the published run."""
    published = json.loads(pages.document().read_text("utf-8"))
    for path in pages.pages():
        page = path.read_text("utf-8")
        assert page == pages.written(page, published), "run: python -m tools.pages"


def test_each_block_stands_in_one_page() -> None:
    """A name that is changed in one place only would leave an old block for ever."""
    found = [name for path in pages.pages() for name in re.findall(r"<!-- begin: (.+?) -->", path.read_text("utf-8"))]
    assert sorted(found) == sorted(pages.BLOCKS)


def test_links_to_figures_lead_to_a_heading() -> None:
    """Those of the README, and those within the page of figures."""
    figures = (pages.ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    headings = {*re.findall(r"^#+ ([\w-]+)$", figures, re.MULTILINE)}
    readme = (pages.ROOT / "README.md").read_text("utf-8")
    assert {*re.findall(r"\(docs/benchmarks\.md#(\w+)\)", readme)} <= headings
    assert {*re.findall(r"\]\(#([\w-]+)\)", figures)} <= headings


def test_the_readme_claims_what_was_held_and_stable() -> None:
    """In the published run: of an effect all that it claims, or what is claimed of one of its rows; never a time."""
    published = {one["name"]: one for one in json.loads(pages.document().read_text("utf-8"))["effects"]}
    readme = (pages.ROOT / "README.md").read_text("utf-8")
    claims = re.findall(r"^\| \[(.+)\]\(docs/benchmarks\.md#(\w+)\) \|", readme, re.MULTILINE)
    assert claims
    for claim, name in claims:
        rows = [row for row in published[name]["rows"] if row["claims"]]
        if claim == published[name]["claim"]:
            assert not TIME.search(claim)
        else:
            rows = [row for row in rows if markdown.claim_of(published[name], row) == claim]
        assert rows
        assert all(row["stable"] and all(one["held"] for one in row["claims"]) for row in rows), name
        assert not any(TIME.search(one["text"]) for row in rows for one in row["claims"])


def test_the_text_around_a_block_stays() -> None:
    """Also a page without one, and a block that the run has nothing for."""
    begin = pages.begin("failures")
    page = f"before {pages.END}\n{begin}\nold\n{pages.END}\nafter {pages.END}\n"
    new = pages.written(page, RUN)
    assert new == f"before {pages.END}\n{begin}\n{failures.table()}\n{pages.END}\nafter {pages.END}\n"
    assert pages.written(new, RUN) == new
    assert pages.written("no block", RUN) == "no block"
    unmeasured = f"{pages.begin('benchmarks keep_alive')}\nold\n{pages.END}\n"
    assert pages.written(unmeasured, {"effects": []}) == unmeasured


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (f"{pages.END}\n{pages.begin('failures')}\nand so on", "failures --> there is no <!-- end -->"),
        (f"{pages.begin('benchmark')}\n{pages.END}", "nobody writes the block 'benchmark'"),
    ],
)
def test_a_block_that_cannot_be_written_is_an_error(page: str, message: str) -> None:
    """Rather than the loss of the rest of a page, or an old block for ever."""
    with pytest.raises(ValueError, match=message):
        pages.written(page, RUN)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two pages and a published run."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("none", "utf-8")
    (tmp_path / "docs" / "b.md").write_text(f"{pages.begin('failures')}\n{pages.END}\n", "utf-8")
    shutil.copy(SAMPLE, pages.document(tmp_path))
    return tmp_path


def test_the_program_rewrites_the_pages_that_change(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names them; with --check it only does the latter, and its exit code says that there are some."""
    before = (root / "docs" / "b.md").read_text("utf-8")
    assert pages.main(["--check"], root) == 1
    assert capsys.readouterr().out == "docs/b.md\n"
    assert (root / "docs" / "b.md").read_text("utf-8") == before
    for names in ("docs/b.md\n", ""):
        assert pages.main([], root) == 0
        assert capsys.readouterr().out == names
    assert (root / "docs" / "a.md").read_text("utf-8") == "none"
    assert failures.table() in (root / "docs" / "b.md").read_text("utf-8")
    assert pages.main(["--check"], root) == 0


def test_a_run_is_published_with_its_figures(root: Path) -> None:
    """The document without its evidence, a figure for each plot, and the blocks of it."""
    run = root / "run.json"
    effect = RUN["effects"][0] | {"evidence": {"a": 1}}
    run.write_text(json.dumps(RUN | {"effects": [effect], "mode": "full"}), "utf-8")
    (root / "docs" / "b.md").write_text(f"{pages.begin('benchmarks figures')}\n{pages.END}\n", "utf-8")
    assert pages.main(["--publish", str(run)], root) == 0
    published = json.loads(pages.document(root).read_text("utf-8"))
    assert (published["mode"], published["effects"][0]["evidence"]) == ("full", {})
    assert (root / "benchmarks" / "figures" / "ratios.svg").exists()
    assert "A full run" in (root / "docs" / "b.md").read_text("utf-8")


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"schema": 1}'])
def test_what_is_no_run_is_not_published(text: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2, the reason, and everything as it was."""
    run = root / "run.json"
    run.write_text(text, "utf-8")
    with pytest.raises(SystemExit) as ended:
        pages.main(["--publish", str(run)], root)
    assert ended.value.code == 2
    assert "--publish: " in capsys.readouterr().err
    assert pages.document(root).read_text("utf-8") == SAMPLE.read_text("utf-8")
