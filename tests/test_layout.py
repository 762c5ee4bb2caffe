"""The rooms: which takes from which, imports for types and inside functions counted."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import lambdakit

PACKAGE = Path(lambdakit.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rooms and single modules by the first part of their path; lower may not import higher, for types neither. What stands
# beside each other imports nothing of its level.
LEVELS = [
    {"exceptions"},
    {"_settings", "_diagnostics", "_parallel", "_import_times", "backends"},
    {"_clock", "_errors", "_process"},
    {"_single_flight", "_environment"},
    {"_event_loop"},
    {"_cache", "_aws", "_http", "_telemetry", "_snap_start", "_warm_imports", "_pytest"},
    {"_clients", "_cached", "http"},
    {"_backends"},
    {"_values", "_patch", "testing"},
    {"_oauth", "_singletons"},
    {"_warmup"},
    {"_handler"},
    {"__init__"},
]

# The tools stand outside: nothing imports them, and this is all that they take of lambdakit.
TOOLS = {
    "lab": {"exceptions"},
    "_bench": {"exceptions", "lab", "__version__"},
    "cli": {"exceptions", "_bench", "__version__"},
    "__main__": {"cli"},
}

# The same within the tools.
LEVELS_WITHIN = {
    "lab": [
        {"_functions", "_host", "_payload", "_tasks"},
        {"_variables"},
        {"_environments"},
        {"_report"},
        {"_modes"},
        {"_plane"},
        {"_lab"},
        {"__init__"},  # the public names
    ],
    "_bench": [
        {"__init__", "options", "prices", "progress", "stats", "trace", "tracer"},
        {"advice", "caller", "text"},
        {"failures", "show"},
        {"measure"},
        {"document", "observe"},
        {"run"},
    ],
}

# These run where lambdakit is not: by their path, or copied to another place.
ALONE = ["lab/_host/guard.py", *(f"_bench/tracer/{path.name}" for path in (PACKAGE / "_bench/tracer").glob("*.py"))]


class Import(NamedTuple):
    """One name that a module imports; `target` is a module of lambdakit, or a name in its `__init__`."""

    module: str
    target: str
    in_function: bool


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@functools.cache
def _imports(path: Path) -> tuple[Import, ...]:
    """All of lambdakit's that a module imports, wherever in it."""
    return tuple(_read(path))


def _read(path: Path) -> Iterator[Import]:
    folders = path.relative_to(PACKAGE.parent).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        found: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            found = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folders[: len(folders) - node.level + 1] if node.level else ()
            source = (*above, *(node.module or "").split(".")) if node.module else above
            found = [(*source, alias.name) for alias in node.names]
        for parts in found:
            if parts[0] == "lambdakit":
                yield Import(_module_name(path), _target(parts[1:]), id(node) in inside)


def _target(parts: tuple[str, ...]) -> str:
    """The module that these parts name, with or without a name of its own in it."""
    for names in (parts, parts[:-1]):
        place = PACKAGE.joinpath(*names)
        if place.with_suffix(".py").is_file():
            return ".".join(names)
        if names and place.is_dir():
            return ".".join([*names, "__init__"])
    return parts[0]


def _room(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in [*PACKAGE.glob(f"{room}.py"), *PACKAGE.glob(f"{room}/**/*.py")])


def test_imports_only_go_downward() -> None:
    """Each room has its level, and takes from levels below it, for types and inside functions too."""
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    assert level.keys() | TOOLS.keys() == {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    wrong = [
        f"{found.module} -> {found.target}"
        for path in MODULES
        for found in _imports(path)
        for importer, target in [(found.module.partition(".")[0], found.target.partition(".")[0])]
        if importer not in TOOLS and importer != target and level.get(target, len(LEVELS)) >= level[importer]
    ]
    assert wrong == []


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_takes_what_it_may(tool: str) -> None:
    """The lab the exceptions, the bench the lab, the command the bench; nothing else."""
    taken = {found.target.partition(".")[0] for path in _room(tool) for found in _imports(path)}
    assert taken <= TOOLS[tool] | {tool}


@pytest.mark.parametrize("room", LEVELS_WITHIN)
def test_imports_within_a_tool_only_go_downward(room: str) -> None:
    """Each module and each package of it has its level, and takes from levels below it."""
    level = {name: number for number, names in enumerate(LEVELS_WITHIN[room]) for name in names}
    there = {path.relative_to(PACKAGE / room).with_suffix("").parts[0] for path in _room(room)}
    assert there == level.keys()
    wrong = [
        f"{found.module} -> {found.target}"
        for path in _room(room)
        for found in _imports(path)
        for (_, importer, *_), (top, *target) in [(found.module.split("."), found.target.split("."))]
        if top == room and importer != target[0] and level[target[0]] >= level[importer]
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Nowhere; but a package's `__init__` may load its own modules inside functions, and these take from it."""
    graph = TopologicalSorter[str]()
    for path in MODULES:
        for found in _imports(path):
            if not (found.in_function and _is_own(found)):
                graph.add(found.module, found.target)
    graph.prepare()  # raises CycleError


def _is_own(found: Import) -> bool:
    """Whether a package takes one of its modules."""
    package, _, name = found.module.rpartition(".")
    return name == "__init__" and found.target.startswith(f"{package}.")


def test_a_package_of_a_tool_takes_its_modules_inside_functions() -> None:
    """So that one of them is imported without the others. `lambdakit.lab` itself is the public names."""
    packages = [path for path in _room("lab", "_bench") if path.name == "__init__.py"]
    early = [
        f"{found.module} -> {found.target}"
        for path in packages
        for found in _imports(path)
        if _is_own(found) and not found.in_function
    ]
    assert early == ["lab.__init__ -> lab._environments.base", "lab.__init__ -> lab._lab"]


def test_the_listing_is_a_table_of_contents() -> None:
    """Rooms and single modules, as many as fit on a screen."""
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 36  # entries


@pytest.mark.parametrize("path", ALONE)
def test_what_runs_without_lambdakit_imports_nothing_of_it(path: str) -> None:
    """The guard is run by its path, the tracer is copied: the standard library, and the tracer's own modules."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            assert node.level == ("tracer" in path) or (node.module or "").partition(".")[0] in sys.stdlib_module_names
