"""Whether a process before this one was ended in the same sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lambdakit import Settings
from lambdakit._process import previous_process_crashed

STREAM = "2026/01/01/[$LATEST]0123456789abcdef"


def settings(folder: Path, *, stream: str | None = STREAM, **others: Any) -> Settings:
    environ = {"TMPDIR": str(folder)} | ({} if stream is None else {"AWS_LAMBDA_LOG_STREAM_NAME": stream})
    return Settings(**{"environ": environ, "in_lambda": True, "init_type": "on-demand", **others})


def in_another_process(folder: Path) -> bool:
    """What a process says that comes and goes."""
    code = (
        "from lambdakit import Settings\nfrom lambdakit._process import previous_process_crashed\n"
        f"print(previous_process_crashed(Settings(environ={dict(settings(folder).environ)!r}, in_lambda=True)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout == "True\n"


def test_processes_after_one_another(tmp_path: Path) -> None:
    """Each knows of the one before it, the first of none; one file is left, which has nothing but a process id."""
    assert [in_another_process(tmp_path) for _ in range(3)] == [False, True, True]
    assert previous_process_crashed(settings(tmp_path))
    (mark,) = tmp_path.iterdir()
    assert mark.read_text(encoding="ascii") == str(os.getpid())
    assert mark.name.startswith("lambdakit-")
    assert "LATEST" not in mark.name
    assert mark.stat().st_mode & 0o777 == 0o600


def test_a_process_does_not_come_before_itself(tmp_path: Path) -> None:
    """However often it asks."""
    assert [previous_process_crashed(settings(tmp_path)) for _ in range(3)] == [False] * 3


def test_nor_does_the_process_that_it_was_forked_from(tmp_path: Path) -> None:
    """Whose mark stays."""
    assert not previous_process_crashed(settings(tmp_path))
    (mark,) = tmp_path.iterdir()
    mark.write_text(str(os.getppid()), encoding="ascii")
    assert not previous_process_crashed(settings(tmp_path))
    assert mark.read_text(encoding="ascii") == str(os.getppid())


def test_another_sandbox_has_another_log_stream(tmp_path: Path) -> None:
    """And marks of its own."""
    assert not in_another_process(tmp_path)
    assert not previous_process_crashed(settings(tmp_path, stream="2026/01/01/[$LATEST]another"))
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize(
    "others",
    [
        {"stream": None},
        {"stream": ""},
        {"in_lambda": False},
        {"init_type": "snap-start"},
        {"processes": 16},
    ],
)
def test_where_nothing_could_be_told_nothing_is_left(tmp_path: Path, others: dict[str, Any]) -> None:
    """No log stream, one that several processes share, or no Lambda."""
    in_another_process(tmp_path)
    (mark,) = tmp_path.iterdir()
    before = mark.read_text(encoding="ascii")
    assert not previous_process_crashed(settings(tmp_path, **others))
    assert [one.read_text(encoding="ascii") for one in tmp_path.iterdir()] == [before]


def test_whatever_stands_in_the_file_somebody_has_left_it(tmp_path: Path) -> None:
    """A mark that was cut short, too."""
    previous_process_crashed(settings(tmp_path))
    (mark,) = tmp_path.iterdir()
    for content in (b"", b"\xff" * 1000, b"1 "):
        mark.write_bytes(content)
        assert previous_process_crashed(settings(tmp_path))
        assert mark.read_text(encoding="ascii") == str(os.getpid())


def test_a_folder_that_takes_no_file_is_no_error(tmp_path: Path) -> None:
    """Nothing is known then."""
    assert not previous_process_crashed(settings(tmp_path / "missing"))


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What they point to is somebody else's."""
    previous_process_crashed(settings(tmp_path))
    (mark,) = tmp_path.iterdir()
    mark.unlink()
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs", encoding="ascii")
    mark.symlink_to(theirs)
    assert previous_process_crashed(settings(tmp_path))
    assert theirs.read_text(encoding="ascii") == "theirs"


def test_names_that_no_encoding_has(tmp_path: Path) -> None:
    """A variable may hold any bytes."""
    assert not previous_process_crashed(settings(tmp_path, stream="\udcff"))
    assert len([*tmp_path.iterdir()]) == 1
