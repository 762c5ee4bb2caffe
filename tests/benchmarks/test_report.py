"""What the report says: its words, what it puts first, two runs side by side, the figures in the docs."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks.report import __main__ as program
from benchmarks.report import compare, compare_text, palette, words
from benchmarks.report.compare import NEAR, shares
from hypothesis import given
from hypothesis import strategies as st

from reporting import SAMPLE, content, effect, row, sample

RATIOS = st.floats(0.01, 1e4)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.01, 2.0, "less"),
        (1.0, 2.0, "no difference"),
        (0.9, 1.1, "no difference"),
        (0.5, 1.0, "no difference"),
        (0.5, 0.99, "more"),
    ],
)
def test_the_verdict_is_that_of_the_interval(low: float, high: float, said: str) -> None:
    """An interval that contains 1, or ends there, tells no difference; the ratio itself says nothing."""
    assert words.verdict(row(low=low, ratio=high, high=high)) == said


def test_the_document_has_the_last_word() -> None:
    """A verdict that it gives is not judged again; a row without a ratio has none."""
    assert words.verdict(row(verdict="no difference")) == "no difference"
    assert words.verdict(row() | {"ratio": None}) is None


@given(RATIOS, RATIOS, RATIOS)
def test_a_ratio_is_written_with_three_figures_and_its_interval(one: float, other: float, third: float) -> None:
    """Within half a unit of the third figure."""
    low, ratio, high = sorted((one, other, third))
    said = row(low=low, ratio=ratio, high=high)
    assert words.result(said).endswith("\N{MULTIPLICATION SIGN}")
    written = [words.result(said).removesuffix("\N{MULTIPLICATION SIGN}"), *words.interval(said).split("\N{EN DASH}")]
    for text, value in zip(written, (ratio, low, high), strict=True):
        assert float(text.replace(",", "")) == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({"as_difference": True, "difference": 0.5, "unit": "µs"}, "+0.5 µs"),
        ({"as_difference": True, "difference": 0.0, "unit": "µs"}, "±0 µs"),
        ({"ratio": None, "difference": -165, "unit": "modules"}, "\N{MINUS SIGN}165 modules"),
    ],
)
def test_a_row_without_a_ratio_tells_the_difference(changed: dict[str, Any], result: str) -> None:
    """With its sign, and with no interval."""
    assert words.result(row() | changed) == result
    assert words.interval(row() | changed) == ""


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"without": 21_413.0, "with": 6_705.0, "unit": "µs"}, ("21.4 ms", "6.71 ms")),
        ({"without": 21_413.0, "with": 999.0, "unit": "µs"}, ("21,413 µs", "999 µs")),
        ({"without": 4e9, "with": 2e9, "unit": "ns"}, ("4 s", "2 s")),
        ({"without": 64, "with": 1, "unit": "calls"}, ("64 calls", "1 call")),
        ({"without": 4096.0, "with": 2048.0, "unit": "MB"}, ("4,096 MB", "2,048 MB")),
    ],
)
def test_both_sides_have_one_unit(figures: dict[str, Any], said: tuple[str, str]) -> None:
    """The largest in which the smaller side is not below 1; one of a thing is singular."""
    assert words.sides(row() | figures) == said


def test_claims_are_written_by_hand() -> None:
    """With the signs that a reader knows, one thing in the singular; an x that is no multiplication stays."""
    assert [words.claim(f"<= {count} calls") for count in ("1", "0", "11", "0.1")] == [
        "≤ 1 call",
        "≤ 0 calls",
        "≤ 11 calls",
        "≤ 0.1 calls",
    ]
    assert words.claim(">= 3x less") == "≥ 3\N{MULTIPLICATION SIGN} less"
    assert words.claim("adds <= 2 µs, max") == "adds ≤ 2 µs, max"


def test_what_is_counted_is_fewer() -> None:
    """What is measured is less."""
    assert [words.tendency(row(unit=unit)) for unit in ("calls", "ms")] == ["fewer", "less"]
    assert words.tendency(row(low=0.2, ratio=0.3, high=0.4, unit="calls")) == "more"


def test_only_a_document_that_says_so_makes_a_row_unstable() -> None:
    """The older schema does not tell."""
    assert [words.unstable(row(**told)) for told in ({}, {"stable": True}, {"stable": False})] == [False, False, True]


def test_a_figure_that_is_not_stable_is_marked_by_itself() -> None:
    """Its row is not: a ratio may be sure where the times are not."""
    shown = words.sides(row(stable=True, stable_without=False, stable_with=True))
    assert [figure.startswith("~") for figure in shown] == [True, False]
    assert not words.unstable(row(stable=True, stable_without=False))


def test_the_headlines_are_the_biggest_claims_that_held() -> None:
    """One of each effect, ordered by the lower end of the interval, no more than there is room for."""
    small, large, wide = row(low=2, ratio=3), row(low=20, ratio=30, high=40), row(low=10, ratio=100, high=200)
    found = words.headlines(content(effect("one", small, large), effect("two", wide), effect("three", small)), limit=2)
    assert [(one["name"], line["ratio_low"]) for one, line in found] == [("one", 20), ("two", 10)]


@pytest.mark.parametrize(
    "no_headline",
    [
        effect("not held", row(held=False)),
        effect("nothing claimed", row(held=None)),
        effect("no difference", row(low=0.9)),
        effect("more", row(low=0.1, ratio=0.2, high=0.3)),
        effect("unstable", row(stable=False)),
        effect("not verified", row(), passed=False),
        effect("failed", row(), error="the process ended with 1"),
        effect("a difference", row(as_difference=True)),
        effect("half held", row() | {"claims": [{"text": "a", "held": True}, {"text": "b", "held": False}]}),
    ],
    ids=lambda one: one["name"],
)
def test_what_is_doubtful_is_no_headline(no_headline: dict[str, Any]) -> None:
    """However big."""
    assert words.headlines(content(no_headline)) == []


def test_the_row_that_stands_for_an_effect() -> None:
    """The first with a ratio that something is claimed of, else the first with a ratio, else none."""
    plain, claimed = row(held=None, what="plain"), row(what="claimed")
    difference = row(what="difference", as_difference=True)
    assert words.leading(effect("e", difference, plain, claimed))["what"] == "claimed"
    assert words.leading(effect("e", difference, plain))["what"] == "plain"
    assert words.leading(effect("e", difference)) is None


def test_the_tally_counts_what_went_wrong_too() -> None:
    """Rows without a difference, unstable ones, effects that were not verified or not measured."""
    told = content(
        effect("good", row(), row(held=False), row(low=0.5), row(stable=False)),
        effect("unverified", row(held=None), passed=False),
        effect("failed", error="the process ended with 1"),
        effect("missing", not_measured="no PostgreSQL here"),
    )
    counted = {"effects": 2, "claims": 4, "held": 3, "unstable": 1, "same": 1, "failed": 2, "not_measured": 1}
    assert words.counts(told) == counted


def test_the_older_schema_says_in_the_evidence_what_was_not_measured() -> None:
    """And is understood."""
    assert words.not_measured(effect("e", evidence={"not measured": "no PostgreSQL"})) == "no PostgreSQL"


# Colours


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _linear(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _luminance(colour: str) -> float:
    return _product((0.2126, 0.7152, 0.0722), _linear(colour))


def _contrast(one: str, other: str) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_colours_stand_out(tone: str) -> None:
    """Text by 4.5 and shapes by 3 against both grounds, as WCAG 2 asks."""
    for ground in (palette.GROUND, palette.PANEL):
        for text in (palette.INK, palette.MUTED, palette.BLUE, palette.VERMILLION, palette.GREEN):
            assert _contrast(getattr(text, tone), getattr(ground, tone)) >= 4.5, (text.name, ground.name)
        for shape in palette.MANY:
            assert _contrast(getattr(shape, tone), getattr(ground, tone)) >= 3.0, (shape.name, ground.name)


DEFICIENCIES = {  # Machado, Oliveira and Fernandes, 2009: severity 1, on linear light
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


@pytest.mark.parametrize("tone", ["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_with_and_without_are_told_apart_by_every_eye(deficiency: str, tone: str) -> None:
    """By lightness or hue, at least a quarter of the range of linear light apart; so is grey from neither."""

    def seen(colour: palette.Colour) -> list[float]:
        return [_product(line, _linear(getattr(colour, tone))) for line in DEFICIENCIES[deficiency]]

    assert math.dist(seen(palette.OURS), seen(palette.WITHOUT)) >= 0.25


def test_every_colour_has_its_own_value() -> None:
    """A rule that turns one into its dark form would turn another, else."""
    assert len({one.light for one in palette.ALL}) == len({one.name for one in palette.ALL}) == len(palette.ALL)


# Two runs


@given(RATIOS)
def test_a_run_is_near_itself(ratio: float) -> None:
    """And nothing has changed."""
    run = content(effect("e", row(ratio=ratio)))
    (change,) = compare(run, run)
    assert (change.near, change.change_pct, change.only_in) == (True, 0.0, None)


@given(RATIOS, RATIOS)
def test_near_does_not_depend_on_which_run_is_the_older(one: float, other: float) -> None:
    """15 % more and 15 % less are not the same share of a ratio; the larger one is judged."""
    first, second = content(effect("e", row(ratio=one))), content(effect("e", row(ratio=other)))
    (there,), (back,) = compare(first, second), compare(second, first)
    assert there.near is back.near is (max(one, other) / min(one, other) <= 1 + NEAR + 1e-12)


def test_a_change_is_in_percent_of_the_old_ratio() -> None:
    """15 % is near, more is not."""
    old, near, far = (content(effect("e", row(ratio=ratio))) for ratio in (2.0, 2.3, 2.302))
    assert [(one.change_pct, one.near) for one in compare(old, near)] == [(pytest.approx(15.0), True)]
    assert [one.near for one in compare(old, far)] == [False]


def test_rows_of_one_run_only_are_named() -> None:
    """As only in it; a row without a ratio in either is no change."""
    old = content(effect("e", row(what="both"), row(what="gone"), row(what="zero") | {"ratio": None}))
    new = content(effect("e", row(what="added"), row(what="both"), row(what="zero")))
    assert [(one.what, one.only_in, one.near) for one in compare(old, new)] == [
        ("added", "new", None),
        ("both", None, True),
        ("zero", None, None),
        ("gone", "old", None),
    ]
    said = compare_text(old, new)
    assert "only in the new run: e: added" in said
    assert "only in the old run: e: gone" in said
    assert "without a ratio: e: zero" in said


def test_an_effect_is_near_by_the_row_that_stands_for_it() -> None:
    """The first that something is claimed of, else the first; each ratio counts as a ratio."""
    old = content(effect("a", row(what="1"), row(what="2", held=None)), effect("b", row(what="1", held=None)))
    new = content(
        effect("a", row(what="1"), row(what="2", held=None, ratio=9)), effect("b", row(what="1", held=None, ratio=9))
    )
    assert shares(compare(old, new)) == {"ratios": (1, 3), "claimed ratios": (1, 1), "effects": (1, 2)}
    said = compare_text(old, new)
    assert "within 15 % of each other: 1 of 3 ratios (33 %)" in said
    assert "within 15 % of each other: 1 of 1 claimed ratios (100 %)" in said
    assert "within 15 % of each other: 1 of 2 effects (50 %)" in said


def test_a_ratio_that_means_nothing_is_not_compared() -> None:
    """Where the difference is what a row has found, it is told."""
    one, other = (content(effect("e", row(ratio=ratio, as_difference=True))) for ratio in (2.0, 9.0))
    (change,) = compare(one, other)
    assert change.near is None
    assert shares([change]) == {"ratios": (0, 0), "claimed ratios": (0, 0), "effects": (0, 0)}
    assert f"without a ratio: e: {change.what}: \N{MINUS SIGN}" in compare_text(one, other)


def test_another_machine_is_said() -> None:
    """With another Python, another mode, another package; of two equal ones nothing."""
    old, new = sample(), sample()
    assert "machine" not in compare_text(old, new)
    new["machine"] |= {"cpu": "another one", "python": "3.13.1"}
    new["machine"]["packages"] = old["machine"]["packages"] | {"boto3": "9.9.9", "wrapt": None}
    new["mode"] = "full"
    said = compare_text(old, new)
    assert f"another machine: cpu: {old['machine']['cpu']} → another one" in said
    assert f"another machine: python: {old['machine']['python']} → 3.13.1" in said
    assert f"boto3: {old['machine']['packages']['boto3']} → 9.9.9" in said
    assert f"wrapt: {old['machine']['packages']['wrapt']} → none" in said
    assert "mode: quick → full" in said


def test_the_lab_is_the_same_where_a_run_did_not_need_it() -> None:
    """Two different ways to share the CPU are not."""
    old, new = sample(), sample()
    new["machine"]["lab_cpu_method"] = None
    assert "lab_cpu_method" not in compare_text(old, new)
    new["machine"]["lab_cpu_method"] = "duty cycle"
    assert "another machine: lab_cpu_method" in compare_text(old, new)


def test_unstable_rows_and_far_ones_are_marked_in_the_comparison() -> None:
    """Each row of both runs is in the table, with both ratios and the change."""
    old = content(effect("e", row(what="steady"), row(what="shaky", stable=False)))
    new = content(effect("e", row(what="steady"), row(what="shaky", ratio=6)))
    lines = compare_text(old, new).splitlines()
    (steady,) = (line for line in lines if "steady" in line)
    (shaky,) = (line for line in lines if "shaky" in line)
    assert re.search(r"3\N{MULTIPLICATION SIGN}.*3\N{MULTIPLICATION SIGN}.*\+0\.0 %.*yes", steady)
    assert re.search(r"3\N{MULTIPLICATION SIGN}.*6\N{MULTIPLICATION SIGN}.*\+100\.0 %.*NO, unstable", shaky)


# The program


def test_the_program_writes_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says where; without a wish it is the page, beside the results."""
    results = tmp_path / "run.json"
    small = content(effect("one", row()))
    results.write_text(json.dumps(small), encoding="utf-8")
    program.main([str(results)])
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    program.main([str(results), "--figures", str(tmp_path / "figures"), "--compare", str(results)])
    assert (tmp_path / "figures" / "ratios.svg").exists()
    said = capsys.readouterr().out
    assert str(tmp_path / "run.html") in said
    assert str(tmp_path / "figures" / "ratios.svg") in said
    assert "within 15 % of each other: 1 of 1 ratios" in said


@pytest.mark.parametrize("text", [None, "no JSON"])
def test_what_is_no_document_is_refused(text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2, and the reason."""
    results = tmp_path / "run.json"
    if text is not None:
        results.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        program.main([str(results)])
    assert ended.value.code == 2
    assert "no results of a run" in capsys.readouterr().err


def test_the_sample_is_marked_as_one() -> None:
    """Nobody takes its figures for measured ones."""
    assert "made up" in json.loads(SAMPLE.read_text(encoding="utf-8"))["sample"]
