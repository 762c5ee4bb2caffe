"""The pages: their Python is Python, and every name of lambdakit's in them exists."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lambdakit

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _modules(page: Path) -> Iterator[ast.Module]:
    """Each block, with the line numbers of the page."""
    text = page.read_text(encoding="utf-8")
    for match in PYTHON.finditer(text):
        yield ast.parse("\n" * text.count("\n", 0, match.start(1)) + _whole(match[1]), filename=str(page))


def _whole(block: str) -> str:
    """The block as it can be compiled: of a session what was typed; with a function below a decorator that has none."""
    if block.startswith(">>> "):
        return "".join(example.source for example in doctest.DocTestParser().get_examples(block))
    last = block.rstrip().rpartition("\n")[2]
    return f"{block}def handler(event, context): ..." if last.startswith("@") else block


def _names(module: ast.Module) -> Iterator[str]:
    """What of lambdakit is used: `lambdakit.name`, and what is imported."""
    for node in ast.walk(module):
        match node:
            case ast.ImportFrom(module=source, names=names) if source and source.partition(".")[0] == "lambdakit":
                yield from (f"{source}.{alias.name}" for alias in names)
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.partition(".")[0] == "lambdakit")
            case ast.Attribute(value=ast.Name(id="lambdakit"), attr=name):
                yield f"lambdakit.{name}"


def _exists(dotted: str) -> bool:
    """Whether it can be had, as an attribute or as a module."""
    found: Any = lambdakit
    first, *names = dotted.split(".")
    for number, name in enumerate(names, start=1):
        if not hasattr(found, name):
            try:
                importlib.import_module(".".join([first, *names[:number]]))
            except ImportError:
                return False
        found = getattr(found, name)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page(page: Path) -> None:
    """Compiles, and names nothing of lambdakit's that is not there."""
    assert {name for module in _modules(page) for name in _names(module) if not _exists(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_is_overlooked(page: Path) -> None:
    """Whatever looks like the beginning of a block of Python is one that the test above finds."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^[ >]*[`~]{3,} *\{? *\.?py", text, re.MULTILINE)) == len(PYTHON.findall(text))


def test_names_that_do_not_exist_are_found() -> None:
    """An attribute, a module, and what is not in a module."""
    module = ast.parse(
        "import lambdakit.nothing, lambdakit.lab\nfrom lambdakit.lab import Lab, Nobody\n"
        "lambdakit.never(1)\nlambdakit.client('s3')\nlambdakit.http.get('/')"
    )
    assert [name for name in _names(module) if not _exists(name)] == [
        "lambdakit.nothing",
        "lambdakit.lab.Nobody",
        "lambdakit.never",
    ]


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (">>> lambdakit.stats()\n{'hits': 1}\n", ["lambdakit.stats"]),
        ("@lambdakit.handler(grace=0)  # seconds\n", ["lambdakit.handler"]),
        ("lambdakit.clear()\n", ["lambdakit.clear"]),
    ],
)
def test_a_session_and_a_lonely_decorator(block: str, names: list[str]) -> None:
    """Are compiled as well: what was typed, and with a function below it."""
    assert [*_names(ast.parse(_whole(block)))] == names
