"""The page and its figures: complete, honest, one file that needs nothing else, and fit for a telephone."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks.framework import stats
from benchmarks.report import words, write_figures, write_html
from benchmarks.report.plots import NARROW, WIDE, Plot, distribution, fleet, plots
from benchmarks.report.plots.sides import colours
from hypothesis import example, given
from hypothesis import strategies as st

from chromium import Chromium, program
from reporting import content, effect, row, sample

VOID = {"meta", "link", "br", "img", "hr", "input"}
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """What the tests look at in a page: every element with its attributes and all text in it, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def all(self, tag: str, **attributes: str) -> list[str]:
        """The texts of all such elements, with single spaces."""
        return [
            " ".join("".join(texts).split())
            for name, there, texts in self.elements
            if name == tag and all(there.get(key.rstrip("_").replace("_", "-")) == v for key, v in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> str:
        """The text of the one such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def attributes(self, *names: str) -> Iterator[str]:
        """The values of these attributes, of all elements."""
        for _, there, _ in self.elements:
            for name in names:
                if there.get(name) is not None:
                    yield str(there[name])


def text_of(told: dict[str, Any], folder: Path) -> str:
    """The page of a document."""
    write_html(told, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the sample."""
    return text_of(sample(), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """The same, parsed; it is well-formed."""
    return Page(text)


def test_the_page_needs_nothing_else(page: Page, text: str) -> None:
    """No script, no style sheet, font or picture from elsewhere; and it forbids itself to fetch any."""
    assert all(value.startswith("#") or value == "data:," for value in page.attributes("href", "src", "xlink:href"))
    assert page.all("script") == page.all("img") == page.all("iframe") == []
    (policy,) = (there["content"] for _, there, _ in page.elements if there.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not re.search(r"@import|@font-face|url\((?!#)", text)
    assert not list(page.attributes("style", "onclick", "onload"))


def test_every_link_within_the_page_leads_somewhere(page: Page) -> None:
    """And no two elements have one id, the drawings' included."""
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.attributes("href") if value.startswith("#")}
    named = {name for value in page.attributes("aria-labelledby") for name in value.split()}
    inside = {
        found
        for _, there, _ in page.elements
        for v in there.values()
        for found in re.findall(r"url\(#([^)]+)", v or "")
    }
    assert targets | named | inside <= set(ids)
    assert {one["name"] for one in sample()["effects"]} <= targets


def test_every_ratio_and_interval_is_on_the_page(page: Page) -> None:
    """As the document has it: each row of each effect, what it costs without and with, each claim as it was found."""

    def written(value: float) -> str:
        return f"{value:,.0f}" if value == 0 or abs(value) >= 100 else f"{value:.3g}"

    lines = page.all("tr")
    for one in sample()["effects"]:
        said = page.one("article", id=one["name"])
        assert f"{one['question']} Claim. {one['claim']}".replace("`", "") in said
        for line in one["rows"]:
            beginning = " ".join([line["what"].replace("`", ""), *words.sides(line), ""])
            (found,) = {text for text in lines if text.startswith(beginning) and text in said}
            if line["ratio"] is not None and not line["as_difference"]:
                interval = f"{written(line['ratio_low'])}\N{EN DASH}{written(line['ratio_high'])}"
                assert f"{written(line['ratio'])}\N{MULTIPLICATION SIGN} {interval} " in found
            assert ("unstable" in found) is not line["stable"]
            for claim in line["claims"]:
                shown = words.claim(claim["text"])
                assert (f"✓ {shown}" if claim["held"] else f"✗ {shown}: not held") in found


def test_the_headlines_are_on_top(page: Page) -> None:
    """Each with its ratio, its interval and what it is of; none of a claim that did not hold."""
    strip = page.one("ol", class_="strip")
    first = "16.7\N{MULTIPLICATION SIGN} fewer 1,000 start: calls of each 72.1 calls → 4.31 calls"
    assert f"{first} 95 %: 16.4\N{EN DASH}17.3" in strip
    assert "import, against boto3" not in strip  # its claim did not hold
    claims = [claim["held"] for one in sample()["effects"] for line in one["rows"] for claim in line["claims"]]
    assert page.one("ul", class_="tally").startswith(f"{sum(claims)} of {len(claims)} claims held")


def test_the_sample_has_every_part(page: Page) -> None:
    """The overview, phases, latencies, memory sizes, the fleet, all groups, the peers, the method, the machine."""
    ids = set(page.attributes("id"))
    assert {"headlines", "overview", "peers", "method", "machine"} <= ids
    assert {f"figures-{kind}" for kind in ("waterfall", "distribution", "memory", "fleet")} <= ids
    assert page.all("h2")[-2:] == ["Method", "Machine"]
    assert {"Cold", "Warm", "When something fails", "Many environments"} <= set(page.all("h2"))
    machine = page.one("section", id="machine")
    assert all(f"{name} {version}" in machine for name, version in sample()["machine"]["packages"].items() if version)


def test_peers_say_what_they_do_not_do(page: Page) -> None:
    """With their versions; what does the same and was not measured has its reason."""
    said = page.one("table", class_="rows peers")
    assert f"boto3 {sample()['machine']['packages']['boto3']}" in said
    assert "lambda-warmer-py not installed" in said
    assert "stale_on_error: its calls are those of single gets" in said
    heads = ["peer", "version", "measured", "does the same, not measured", "does not do this"]
    assert page.all("th", scope="col")[-len(heads) :] == heads


def test_what_a_document_lacks_is_left_out(tmp_path: Path) -> None:
    """Of the older schema there are rows and no more; nothing stands for what is not there."""
    old = sample()
    old["effects"] = old["effects"][:2]
    for key in ("peers", "target", "started", "took_s", "sample"):
        del old[key]
    old["schema"], old["mode"] = 1, "full"
    for one in old["effects"]:
        for key in ("group", "claim", "not_measured", "figures"):
            del one[key]
        for line in one["rows"]:
            for key in ("peer", "verdict", "stable", "interval_without", "interval_with"):
                del line[key]
    page = Page(text_of(old, tmp_path))
    assert page.all("h2") == ["How many times less", "Effects", "Method", "Machine"]
    assert page.all("p", class_="notice") == page.all("p", class_="claim") == []
    assert page.all("span", class_="tag unstable") == []
    assert "unstable" not in page.one("ul", class_="tally")
    assert {one["name"] for one in old["effects"]} <= set(page.attributes("id"))


def test_a_document_without_effects_is_a_page(tmp_path: Path) -> None:
    """Of the method and the machine."""
    page = Page(text_of(content(machine={"date": None, "cpu": None, "python": "3.11"}), tmp_path))
    assert page.all("h2") == ["Method", "Machine"]
    assert page.all("svg") == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (effect("e", row(held=False)), "✗ ≥ 2\N{MULTIPLICATION SIGN} less: not held"),
        (effect("e", row(stable=False)), "unstable"),
        (effect("e", row(low=0.9)), "no difference"),
        (effect("e", row(low=0.2, ratio=0.3, high=0.4)), "more"),
        (effect("e", row(), passed=False), "Not verified: the work was done. Its figures say nothing."),
        (effect("e", error="the process ended with 1"), "Could not be measured. the process ended with 1"),
        (effect("e", not_measured="no PostgreSQL here"), "Not measured. no PostgreSQL here"),
        (effect("e", row() | {"ratio": None, "unit": "calls"}), "\N{MINUS SIGN}2 calls"),
    ],
)
def test_what_did_not_go_well_is_shown(told: dict[str, Any], said: str, tmp_path: Path) -> None:
    """In the section of its effect."""
    assert said in Page(text_of(content(told), tmp_path)).one("article", id="e")


def test_a_run_that_is_not_the_full_one_says_so(tmp_path: Path) -> None:
    """Quick, a sample, broken on purpose: at the top; on AWS, too."""
    run = content(mode="quick", sample="Made up.", broken=True, target="aws", calibration=[])
    page = Page(text_of(run, tmp_path))
    assert page.all("p", class_="notice")[0] == "A sample. Made up."
    assert "A quick run" in page.all("p", class_="notice")[1]
    assert "Broken on purpose" in page.one("p", class_="notice bad")
    assert "on AWS" in page.one("p", class_="lead")


def test_the_calibration_of_the_lab_is_shown(tmp_path: Path) -> None:
    """What share of a core was wanted at each memory size, and what share was had."""
    told = content(calibration=[{"memory_mb": 128, "wanted": 0.0724, "measured": 0.0731}])
    assert "128 MB 7.31 % (wanted 7.24 %)" in Page(text_of(told, tmp_path)).one("section", id="machine")


def test_names_are_text(tmp_path: Path) -> None:
    """Whatever is in them: nothing of a document becomes an element, in tables and in drawings."""
    nasty = "</svg><script>alert(1)</script> & 'x'"
    told = content(
        effect(
            "e",
            row(what=nasty),
            row(what=f"{nasty} 2"),
            claim=nasty,
            figures={"waterfall": {nasty: [{"phase": nasty, "ms": 1}]}},
        )
    )
    text = text_of(told, tmp_path)
    assert "<script" not in text
    assert Page(text).one("p", class_="claim") == f"Claim. {nasty}"


def test_what_stands_in_backticks_is_code(tmp_path: Path) -> None:
    """As in the docs; nothing in it becomes an element either."""
    text = text_of(content(effect("e", claim="`get_secret()` & `<b>` cost `less")), tmp_path)
    assert "<code>get_secret()</code> &amp; <code>&lt;b&gt;</code> cost `less" in text


def test_one_document_gives_one_page(tmp_path: Path) -> None:
    """To the byte: what changes between two pages has changed between two runs."""
    figures = {"waterfall": sample()["effects"][3]["figures"]["waterfall"]}
    told = content(effect("one", row(stable=False), figures=figures))
    assert text_of(told, tmp_path) == text_of(told, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


# Figures


@pytest.fixture(scope="module")
def drawn() -> list[Plot]:
    """All figures of the sample."""
    return list(plots(sample()))


def test_the_figures_of_the_sample(drawn: list[Plot]) -> None:
    """One of each kind; a bar figure for each effect that has several ratios."""
    assert [plot.name for plot in drawn] == [
        "ratios",
        "effect-import_cost",
        "effect-secret_cold",
        "secret_cold-waterfall",
        "effect-cold_start",
        "cold_start-waterfall",
        "cold_start-distribution",
        "cold_start-memory",
        "effect-fleet",
        "fleet-calls",
        "fleet-limits",
    ]


def test_each_figure_says_its_numbers(drawn: list[Plot]) -> None:
    """In words, for readers who do not see it: the bars' ratios, the phases, the medians, the shares."""
    said = {plot.name: plot.text for plot in drawn}
    bar = "import_cost import, against boto3: 37.9\N{MULTIPLICATION SIGN}, less, claim not held, unstable"
    assert f"{bar}, 95 % interval" in said["ratios"]
    figures = sample()["effects"][3]["figures"]
    imports = next(phase["ms"] for phase in figures["waterfall"]["fast"] if phase["phase"] == "imports")
    assert f"imports {imports:,.0f} ms" in said["cold_start-waterfall"]
    assert (
        f"with lambdakit, warm: median {stats.median(figures['distribution']['fast']['warm']):.3g} ms"
        in (said["cold_start-distribution"])
    )
    assert "128 MB, with lambdakit: cold start, ms" in said["cold_start-memory"]
    assert "10 environments, single gets: at most" in said["fleet-calls"]


def test_a_drawing_fits_into_any_page(text: str, drawn: list[Plot]) -> None:
    """Readable text within its frame, a name for those who do not see it, no styles, its ids its own."""
    found = {root[0].attrib["id"]: root for root in map(ET.fromstring, re.findall(r"<svg.*?</svg>", text, re.DOTALL))}
    assert found.keys() == {f"{plot.name}-{width:.0f}-title" for plot in drawn for width in (WIDE, NARROW)}
    for plot, width in ((plot, width) for plot in drawn for width in (WIDE, NARROW)):
        root = found[f"{plot.name}-{width:.0f}-title"]
        _, _, across, down = map(float, root.attrib["viewBox"].split())
        assert across == width
        assert (root[0].tag, root[0].text) == (f"{SVG}title", plot.title)
        assert (root[1].tag, root[1].text) == (f"{SVG}desc", plot.text)
        assert root.attrib["aria-labelledby"].split() == [root[0].attrib["id"], root[1].attrib["id"]]
        ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
        assert all(one.startswith(f"{plot.name}-{width:.0f}-") for one in ids)
        for one in root.iter():
            assert not {"style", "font-family"} & (one.attrib.keys() - root.attrib.keys())
            for name, value in one.attrib.items():
                referred = value.removeprefix("url(").removesuffix(")").removeprefix("#")
                assert referred in ids or not (name == "href" or value.startswith("url("))
        texts = [*root.iter(f"{SVG}text")]
        assert texts
        for one in texts:
            assert float(one.attrib["font-size"].removesuffix("px")) >= 12
            assert 0 <= float(one.attrib["x"]) <= across
            assert 0 <= float(one.attrib["y"]) <= down


def test_figures_are_files_of_their_own(tmp_path: Path) -> None:
    """With a ground, and with colours for a dark page; one that has no data any more is removed, nothing else is."""
    (tmp_path / "old.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    few = content(effect("one", row(), row(what="another")))
    written = write_figures(few, tmp_path)
    assert [path.name for path in written] == ["ratios.svg", "effect-one.svg"]
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "ratios.svg", "effect-one.svg"}
    for path in written:
        root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - ours
        assert root.find(f"{SVG}rect") is not None
        assert "prefers-color-scheme: dark" in str(root.findtext(f"{SVG}style"))


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=400))
@example([float(value) for value in range(1, 1001)])
def test_dots_are_the_invocations_or_their_hundredths(values: list[float]) -> None:
    """No more than 100; as many above the median as below it; none outside of what was measured."""
    dots = distribution.dots(values)
    assert len(dots) == min(len(values), 100)
    assert dots == sorted(dots)
    assert min(values) <= dots[0] <= dots[-1] <= max(values)
    middle = stats.median(values)
    assert sum(dot < middle for dot in dots) <= len(dots) / 2 >= sum(dot > middle for dot in dots)


def test_our_side_has_one_colour() -> None:
    """Wherever it stands; the others have others, each its own."""
    for sides in (["naive", "lambdakit"], ["boto3", "Powertools", "lambdakit"], ["fast", "naive"]):
        found = dict(zip(sides, colours(sides), strict=True))
        assert [name for name, colour in found.items() if colour.name == "blue"] == [
            name for name in sides if name in {"lambdakit", "fast"}
        ]
        assert len(set(found.values())) == len(sides)


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"waterfall": {}, "distribution": {}, "memory": [], "fleet": []},
        {"waterfall": {"naive": []}, "distribution": {"naive": {"cold": [], "warm": []}}},
        {"memory": [{"memory_mb": 128, "side": "naive", "cold_ms": 1.0, "warm_ms": 1.0}]},
    ],
)
def test_no_figure_is_made_of_nothing(figures: dict[str, Any]) -> None:
    """Nor a curve of one memory size."""
    assert list(plots(content(effect("e", figures=figures)))) == []


def test_a_fleet_that_never_is_warm_is_told() -> None:
    """And drawn without that point; one strategy may be at one size only."""
    curve = {"strategy": "single gets", "environments": 10, "t_s": [0.0, 1.0], "calls_per_s": [130.0, 0.0]}
    curves = [
        {**curve, "throttled_share": 0.5, "all_warm_s": None},
        {**curve, "environments": 1000, "throttled_share": 0.9, "all_warm_s": 400.0},
        {**curve, "strategy": "batches", "throttled_share": 0.0, "all_warm_s": 1.0},
    ]
    calls, limits = plots(content(effect("fleet", figures={"fleet": curves})))
    assert ("10", "single gets", "130", "50.0 %", "never") in limits.rows
    assert all(ET.fromstring(plot.svg(WIDE)) is not None for plot in (calls, limits))  # noqa: S314 - ours


def test_two_sizes_of_a_fleet_are_drawn() -> None:
    """The largest, and below it the one that most strategies are known of; of two alike the larger."""

    def curves(*told: tuple[str, int]) -> list[dict[str, Any]]:
        return [{"strategy": name, "environments": size, "t_s": [0.0]} for name, size in told]

    assert fleet.shown_sizes(curves(("a", 10), ("a", 1000), ("b", 1000), ("a", 100_000))) == [1000, 100_000]
    assert fleet.shown_sizes(curves(("a", 10), ("a", 100), ("a", 1000))) == [100, 1000]
    assert fleet.shown_sizes(curves(("a", 10))) == [10]
    assert fleet.shown_sizes([]) == []


# A real browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium."""
    found = program()
    if found is None:
        pytest.skip("no Chromium is installed")
    with Chromium(found, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


OUTSIDE = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  return !frame.width ? [] : [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
      || box.bottom > frame.bottom + 1;
  }).map(text => `${svg.querySelector('title').textContent}: ${text.textContent}`);
})
"""
OVERLAPPING = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return texts.flatMap(([one, a], index) => texts.slice(index + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([other]) => `${one} / ${other}`));
})
"""


@pytest.mark.soak  # needs a browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_in_a_browser(width: int, dark: bool, browser: Chromium, text: str, tmp_path: Path) -> None:
    """Nothing is wider than the screen, no label is cut off or lies on another, nothing is fetched."""
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    browser.open(path, width=width, dark=dark)
    assert browser.value("document.scrollingElement.scrollWidth") == width
    assert browser.value(OUTSIDE) == []
    assert browser.value(OVERLAPPING) == []
    shown = browser.value("[...document.querySelectorAll('figure svg')].filter(svg => svg.clientWidth).length")
    assert shown == len(list(plots(sample())))
    told = [event for event in browser.events if event["method"] in {"Log.entryAdded", "Runtime.consoleAPICalled"}]
    assert told == []
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [path.as_uri()]


@pytest.mark.soak  # needs a browser
def test_the_page_on_paper(browser: Chromium, text: str, tmp_path: Path) -> None:
    """Light, with the wide figures, without the navigation, and no wider than the paper."""
    path, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    path.write_text(text, encoding="utf-8")
    browser.open(path, width=690, dark=True, media="print")
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.value("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#16202b"
    assert browser.value("document.querySelector('.wide').clientWidth > 0")
    assert browser.value("document.scrollingElement.scrollWidth") == 690
    browser.pdf(pdf)
    assert pdf.read_bytes().startswith(b"%PDF-")
