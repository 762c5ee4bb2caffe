"""A cold page cache: files that a process has to read from the disk."""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import os
import re
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .effect import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .effect import Measured, Row, Series

T = TypeVar("T", bound="dict[str, Any]")
# The packages of a deployment. The runtime client belongs to Lambda's image, as the standard library does.
PACKAGES = ("boto3", "aws-lambda-powertools", "aws-secretsmanager-caching", "cachetools", "urllib3", "wrapt")
MOST_RESIDENT = 0.02  # of the pages: what another process uses at that moment cannot be evicted
EVIDENCE = "cold page cache"
_TRIES = 5


@cache
def files() -> tuple[Path, ...]:
    """Every file of lambdakit, of `PACKAGES`, and of what they need in turn."""
    wanted, seen, places = [*PACKAGES], set(), {_folder("lambdakit")}
    while wanted:
        name = re.sub("[-_.]+", "-", wanted.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # it is for another Python or another system, or an older one of this suite's environments
        tops = {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}
        places |= {Path(str(found.locate_file(top))) for top in tops}
        needed = [text for text in found.requires or () if "extra ==" not in text]
        wanted += [match[0] for text in needed if (match := re.match(r"[\w.-]+", text))]
    found_all = (path for place in sorted(places) for path in (place, *sorted(place.rglob("*"))))
    return tuple(path for path in found_all if path.is_file())


def _folder(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def evict(paths: Iterable[Path]) -> float:
    """Evict these files from the page cache.

    It takes no privilege: every process may say that it needs the pages of a file no more. Those that are dirty, or
    mapped by a process that runs, stay.

    Returns:
        The share of their pages that is still there.

    Raises:
        OSError: the system does not tell, or does not do it.
    """
    if not hasattr(os, "posix_fadvise"):
        raise OSError("this system has no way to drop a file from its page cache")
    paths = tuple(paths)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    counts = [resident(path) for path in paths]
    return sum(there for there, _ in counts) / max(1, sum(pages for _, pages in counts))


def resident(path: Path) -> tuple[int, int]:
    """How many pages of a file are in memory, and how many it has.

    Raises:
        OSError: the system does not tell.
    """
    libc = _libc()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0, 0
        # By hand, because Python's own mmap does not tell its address. To map a file reads nothing of it.
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap", str(path))
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        try:
            if libc.mincore(address, size, pages) != 0:
                raise OSError(ctypes.get_errno(), "mincore", str(path))
        finally:
            libc.munmap(address, size)
    return sum(page & 1 for page in pages), len(pages)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return libc


def add_cold(
    measured: Measured,
    measure: Callable[[Callable[[Callable[[str, int], T]], Callable[[str, int], T]]], dict[str, list[T]]],
    *,
    series: Callable[[dict[str, list[T]]], Mapping[str, Series]],
    rows: tuple[Row, ...],
) -> Measured:
    """Add to what was measured the same with a cold page cache.

    Args:
        measured: the former.
        measure: makes the trials, given what makes of a trial one whose files were evicted before.
        series: of the trials.
        rows: of these series.

    Returns:
        Both. Where this system does not evict files, its error in the evidence, and no such rows.
    """
    os.sync()  # dirty pages cannot be dropped
    try:
        left = min(evict(files()) for _ in range(_TRIES))
    except OSError as error:
        return replace(measured, evidence=measured.evidence | {EVIDENCE: {"not measured": str(error)}})
    if left > MOST_RESIDENT:
        reason = {"not measured": f"{left:.0%} of the files stay in the page cache"}
        return replace(measured, evidence=measured.evidence | {EVIDENCE: reason})
    trials = measure(_evicting)
    return replace(
        measured,
        series={**measured.series, **series(trials)},
        rows=measured.rows + rows,
        evidence=measured.evidence | {EVIDENCE: trials},
    )


def _evicting(trial: Callable[[str, int], T]) -> Callable[[str, int], T]:
    def dropped(way: str, round_: int) -> T:
        for _ in range(_TRIES):  # another process may read them just now
            left = evict(files())
            if left <= MOST_RESIDENT:
                break
        done = trial(way, round_)
        done["left_in_page_cache"] = left
        return done

    return dropped


def verify(measured: Measured) -> list[Check]:
    """The files were not there when a cold process started. No check where it was not measured."""
    evidence = measured.evidence.get(EVIDENCE, {})
    if not evidence or "not measured" in evidence:
        return []
    left = [done["left_in_page_cache"] for given in evidence.values() for done in given]
    return [Check(what="the files had to be read from the disk", passed=max(left) <= MOST_RESIDENT, found=max(left))]
