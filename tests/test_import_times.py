"""How long imports take, in fresh interpreters where other importers are at work too."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lambdakit import _import_times
from lambdakit._import_times import ImportTimes, install, taken

WAIT = "import time\nend = time.perf_counter() + {}\nwhile time.perf_counter() < end: pass\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a module that can be imported; modules and hooks are gone afterwards."""
    before, finders = {*sys.modules}, [*sys.meta_path]
    monkeypatch.syspath_prepend(tmp_path)

    def write(path: str, code: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code, encoding="utf-8")
        importlib.invalidate_caches()

    yield write
    sys.meta_path[:] = finders
    for name in {*sys.modules} - before:
        if name.startswith("timed_"):
            del sys.modules[name]


def seen() -> dict[str, tuple[float, float]]:
    report = taken()
    assert report is not None
    return {one["module"]: (one["own_ms"], one["with_imports_ms"]) for one in report["slowest"]}


def test_own_time_and_that_with_imports(site: Callable[[str, str], None]) -> None:
    """A module that imports another has the other's time in the second number only."""
    site("timed_outer.py", WAIT.format(0.02) + "import timed_inner\n")
    site("timed_inner.py", WAIT.format(0.04))
    install()
    importlib.import_module("timed_outer")
    found = seen()
    assert found.keys() == {"timed_inner", "timed_outer"}
    assert found["timed_inner"][0] == found["timed_inner"][1] >= 40
    assert 20 <= found["timed_outer"][0] < found["timed_outer"][1]
    assert found["timed_outer"][1] >= found["timed_outer"][0] + found["timed_inner"][1] - 0.02  # rounded


def test_a_report(site: Callable[[str, str], None]) -> None:
    """The ten slowest by their own time, ten packages with all their modules, how many there were, and since when."""
    site("timed_package/__init__.py", WAIT.format(0.003))
    for number in range(12):
        site(f"timed_package/m{number}.py", WAIT.format(0.001))
        site(f"timed_m{number}.py", "")
    install()
    for number in range(12):
        importlib.import_module(f"timed_package.m{number}")
        importlib.import_module(f"timed_m{number}")
    report = taken()
    assert report is not None
    assert (report["seen"], report["modules"]) == ("after lambdakit", 25)
    own_ms = [one["own_ms"] for one in report["slowest"]]
    assert own_ms == sorted(own_ms, reverse=True)
    assert (len(own_ms), len(report["packages"])) == (10, 10)
    assert [*report["packages"].values()] == sorted(report["packages"].values(), reverse=True)
    assert 15 <= report["packages"]["timed_package"] <= report["total_ms"]
    assert json.loads(json.dumps(report)) == report


def test_what_was_taken_is_gone() -> None:
    """There is one report, and nothing is timed any more."""
    install()
    install()
    assert sum(isinstance(finder, ImportTimes) for finder in sys.meta_path) == 1
    assert taken() is not None
    assert taken() is None
    assert not any(isinstance(finder, ImportTimes) for finder in sys.meta_path)


def test_a_module_is_as_it_would_have_been(site: Callable[[str, str], None]) -> None:
    """Its loader is the one that was found, with its own methods, also while the module runs."""
    site("timed_plain.py", "kind, own = type(__loader__), dict(vars(__loader__))\nspec = __spec__\n")
    install()
    module = importlib.import_module("timed_plain")
    taken()
    assert module.kind is importlib.machinery.SourceFileLoader
    assert {"exec_module", "create_module"} & module.own.keys() == set()
    assert module.__spec__ is module.spec
    assert module.__spec__.loader is module.__loader__


def test_packages_without_a_file_and_built_in_modules_are_passed_by(site: Callable[[str, str], None]) -> None:
    """They are loaded, untimed; modules in such packages are timed."""
    site("timed_space/inner.py", "here = 1\n")
    install()
    assert importlib.import_module("timed_space.inner").here == 1
    sys.modules.pop("timed_space")
    assert importlib.util.find_spec("timed_space") is not None
    assert importlib.util.find_spec("_sre") is not None
    assert [*seen()] == ["timed_space.inner"]


def test_modules_in_c_are_timed() -> None:
    """Loaded from a file of their own, in a fresh interpreter."""
    code = (
        "import json, importlib.machinery\nfrom lambdakit import _import_times\n_import_times.install()\n"
        "import _queue, _bisect, _json, _ssl, _socket, _ctypes, zlib\n"
        "taken = _import_times.taken()\n"
        "print(json.dumps([one['module'] for one in taken['slowest']]))\n"
        "print(hasattr(_ssl, '__file__'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules, is_file = done.stdout.splitlines()
    assert ("_ssl" in json.loads(modules)) == (is_file == "True")


def test_a_module_that_fails_is_timed_and_its_error_passes(site: Callable[[str, str], None]) -> None:
    """The very one; and the module can be imported again."""
    site("timed_broken.py", WAIT.format(0.001) + "raise LookupError('mine')\n")
    site("timed_typo.py", "def (:\n")
    install()
    for _ in range(2):
        with pytest.raises(LookupError, match="mine") as caught:
            importlib.import_module("timed_broken")
        assert caught.value.__cause__ is caught.value.__context__ is None
    with pytest.raises(SyntaxError):
        importlib.import_module("timed_typo")
    with pytest.raises(ModuleNotFoundError, match="No module named 'timed_missing'") as missing:
        importlib.import_module("timed_missing")
    assert missing.value.name == "timed_missing"
    report = taken()
    assert report is not None
    assert report["modules"] == 3


def test_a_loader_that_cannot_make_the_module(site: Callable[[str, str], None]) -> None:
    """Its error passes, too: a library in C that lacks another one."""

    class Loader:
        def create_module(self, spec: ModuleSpec) -> None:
            raise ImportError("cannot open shared object file")

        def exec_module(self, module: ModuleType) -> None: ...

    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            return ModuleSpec(name, Loader()) if name == "timed_library" else None  # type: ignore[arg-type] # one by shape

    sys.meta_path.insert(0, Finder())
    install()
    with pytest.raises(ImportError, match="cannot open shared object file"):
        importlib.import_module("timed_library")
    assert taken() is not None


def test_an_archive_whose_loader_loads_many(tmp_path: Path, site: Callable[[str, str], None]) -> None:
    """Each module has its own time, also where one imports another."""
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("timed_zip_outer.py", WAIT.format(0.002) + "import timed_zip_inner\n")
        archive.writestr("timed_zip_inner.py", WAIT.format(0.004))
    sys.path.insert(0, str(tmp_path / "archive.zip"))
    try:
        install()
        importlib.import_module("timed_zip_outer")
        found = seen()
    finally:
        sys.path.remove(str(tmp_path / "archive.zip"))
    assert found["timed_zip_inner"][0] >= 4
    assert 2 <= found["timed_zip_outer"][0] <= found["timed_zip_outer"][1] - found["timed_zip_inner"][1] + 0.02


def test_to_find_a_module_and_to_make_it_takes_time_too(site: Callable[[str, str], None]) -> None:
    """As for a library in C, most of whose work is done before its first line runs."""

    def work() -> None:
        end_s = time.perf_counter() + 0.02
        while time.perf_counter() < end_s:
            pass

    class Loader:
        def create_module(self, spec: ModuleSpec) -> None:
            work()

        def exec_module(self, module: ModuleType) -> None: ...

    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            if name != "timed_library":
                return None
            work()
            return ModuleSpec(name, Loader())  # type: ignore[arg-type] # one by shape

    sys.meta_path.insert(0, Finder())
    install()
    importlib.import_module("timed_library")
    assert seen()["timed_library"][0] >= 40


class Shapes:
    """A finder of modules whose loaders are of every shape."""

    class Slots:
        """No room for a method of its own."""

        __slots__ = ()

        def create_module(self, spec: ModuleSpec) -> None: ...

        def exec_module(self, module: ModuleType) -> None:
            module.loaded = "slots"  # type: ignore[attr-defined] # a module's own

    class Static:
        """A class is the loader."""

        @staticmethod
        def create_module(spec: ModuleSpec) -> None: ...

        @staticmethod
        def exec_module(module: ModuleType) -> None:
            module.loaded = "static"  # type: ignore[attr-defined] # as above

    class Own:
        """It has a method of its own already."""

        def __init__(self) -> None:
            self.exec_module = lambda module: setattr(module, "loaded", "own")  # type: ignore[method-assign]

        def create_module(self, spec: ModuleSpec) -> None: ...

        def exec_module(self, module: ModuleType) -> None:
            raise NotImplementedError

    class Legacy:
        """Of Python 3.3."""

        def load_module(self, name: str) -> ModuleType:
            raise NotImplementedError

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        loaders: dict[str, Any] = {"slots": self.Slots, "own": self.Own, "legacy": self.Legacy}
        kind = name.removeprefix("timed_")
        if kind == "static":
            return ModuleSpec(name, self.Static)  # type: ignore[arg-type] # a class, as built-in modules have it
        return ModuleSpec(name, loaders[kind]()) if kind in loaders else None


class Old:
    """A finder of Python 2's."""

    def find_module(self, name: str, path: Any = None) -> None: ...


@pytest.mark.parametrize("kind", ["slots", "static", "own"])
def test_loaders_of_other_shapes_load_untimed(site: Callable[[str, str], None], kind: str) -> None:
    """What cannot be told to tell the time does its work all the same."""
    sys.meta_path[:0] = [Old(), Shapes()]  # type: ignore[list-item] # finders by shape
    install()
    assert importlib.import_module(f"timed_{kind}").loaded == kind
    report = taken()
    assert report is not None
    assert report["modules"] == 0


def test_a_loader_without_the_methods_is_left_alone(site: Callable[[str, str], None]) -> None:
    """What importing it means is Python's business."""
    sys.meta_path.insert(0, Shapes())  # type: ignore[arg-type] # a finder by shape
    install()
    spec = importlib.util.find_spec("timed_legacy")
    taken()
    assert spec is not None
    assert vars(spec.loader) == {}


def test_finders_before_it_are_not_asked_twice(site: Callable[[str, str], None]) -> None:
    """Those who came later stand before it: it asks the ones behind it only."""
    asked: list[str] = []

    class Counting:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            asked.append(name)

    site("timed_plain.py", "")
    install()
    sys.meta_path.insert(0, Counting())  # type: ignore[arg-type] # as above
    importlib.import_module("timed_plain")
    assert asked == ["timed_plain"]
    assert [*seen()] == ["timed_plain"]


def test_one_that_was_taken_out_finds_nothing() -> None:
    """As a thread may ask it that had begun before."""
    assert ImportTimes().find_spec("json") is None


def test_a_module_that_is_loaded_later(site: Callable[[str, str], None]) -> None:
    """What lies between finding and loading it is not its time; loaded again, it is not timed again."""
    site("timed_later.py", "loaded = 1\n")
    install()
    began_s = time.perf_counter()
    spec = importlib.util.find_spec("timed_later")
    assert spec is not None
    assert spec.loader is not None
    found_s = time.perf_counter()
    threading.Event().wait(0.02)
    waited_s = time.perf_counter()
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ended_s = time.perf_counter()
    spec.loader.exec_module(module)
    report = taken()
    assert report is not None
    assert report["modules"] == 1
    assert report["total_ms"] <= (ended_s - waited_s + found_s - began_s) * 1000 + 0.01  # rounded


def test_threads_do_not_count_each_others_time(site: Callable[[str, str], None]) -> None:
    """What is imported beside a module is not imported by it."""
    site("timed_waiting.py", "import timed_gate\ntimed_gate.inside.set()\nassert timed_gate.go.wait(10)\n")
    site("timed_gate.py", "import threading\ninside, go = threading.Event(), threading.Event()\n")
    site("timed_busy.py", WAIT.format(0.02))
    install()
    gate = importlib.import_module("timed_gate")
    thread = threading.Thread(target=importlib.import_module, args=("timed_waiting",))
    thread.start()
    assert gate.inside.wait(10)
    importlib.import_module("timed_busy")
    gate.go.set()
    thread.join(10)
    found = seen()
    assert found["timed_waiting"][0] == found["timed_waiting"][1] >= found["timed_busy"][1] >= 20


def test_other_hooks_and_it_go_together() -> None:
    """Modules patched by wrapt when they are imported, and all of a large package: as without it."""
    code = (
        "import sys, json\nfrom lambdakit import _import_times\n{install}\nimport wrapt\n"
        "calls = []\n"
        "wrapt.register_post_import_hook(lambda module: calls.append(module.__name__), 'botocore.session')\n"
        "import botocore.session, importlib.resources\n"
        "assert importlib.resources.files('botocore').joinpath('data').is_dir()\n"
        "taken = _import_times.taken()\n"
        "print(json.dumps([calls, sorted(name for name in sys.modules if name.startswith('botocore'))]))\n"
        "print(taken and taken['packages'].get('botocore', 0) > 0)"
    )
    with_it, without = (
        subprocess.run(
            [sys.executable, "-c", code.format(install=how)], capture_output=True, text=True, check=True, timeout=60
        )
        for how in ("_import_times.install()", "")
    )
    assert (with_it.stderr, without.stderr) == ("", "")
    assert with_it.stdout.splitlines()[0] == without.stdout.splitlines()[0]
    assert json.loads(with_it.stdout.splitlines()[0])[0] == ["botocore.session"]
    assert [with_it.stdout.splitlines()[1], without.stdout.splitlines()[1]] == ["True", "None"]


def test_its_repr() -> None:
    """How many modules it has seen."""
    assert repr(_import_times.ImportTimes()) == "<ImportTimes modules=0>"
