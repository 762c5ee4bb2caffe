"""A comparison of two runs, ratio by ratio."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEAR = 0.15  # two ratios are near if the larger is at most this share above the other
_SAME_MACHINE = ("cpu", "cores_usable", "memory_mb", "system", "kernel", "architecture", "python", "lab_cpu_method")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row in two runs.

    Attributes:
        effect, what: which row.
        old, new: its ratios; None where a run has no such row, or none in it that means something.
        found: without a ratio, what the two have found, in words.
        only_in: ``"old"`` or ``"new"`` if the other run has no such row, else None.
        claimed: whether something is claimed of it.
        leading: whether it stands for its effect.
        unstable: whether either run marks it so.
    """

    effect: str
    what: str
    old: float | None
    new: float | None
    found: str = ""
    only_in: str | None = None
    claimed: bool = False
    leading: bool = False
    unstable: bool = False

    @property
    def change_pct(self) -> float | None:
        """How much larger the new ratio is, in percent of the old; None without both."""
        if not self.old or not self.new:
            return None
        return 100.0 * (self.new / self.old - 1.0)

    @property
    def near(self) -> bool | None:
        """Whether the two are within 15 % of each other, whichever is the larger; None without both."""
        if not self.old or not self.new:
            return None
        return max(self.old, self.new) <= (1.0 + NEAR) * min(self.old, self.new)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Every row of both runs, in the order of the new one; what is only in the old one comes last."""
    before, after = _rows(old), _rows(new)
    leading = {(one["name"], row["what"]) for one in new["effects"] if (row := words.leading(one))}
    changes = []
    for key in [*after, *(key for key in before if key not in after)]:
        rows = [side.get(key) for side in (before, after)]
        there = [row for row in rows if row]
        changes.append(
            Change(
                effect=key[0],
                what=key[1],
                old=_ratio(rows[0]),
                new=_ratio(rows[1]),
                found=" → ".join(map(words.result, there)),
                only_in=None if all(rows) else "old" if rows[0] else "new",
                claimed=any(row["claims"] for row in there),
                leading=key in leading,
                unstable=any(map(words.unstable, there)),
            )
        )
    return changes


def _rows(content: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(effect["name"], row["what"]): row for effect in content["effects"] for row in effect["rows"]}


def _ratio(row: dict[str, Any] | None) -> float | None:
    return row["ratio"] if row and words.has_ratio(row) else None


def shares(changes: Sequence[Change]) -> dict[str, tuple[int, int]]:
    """How many are near, of how many that both runs have.

    Of all ratios; of those that something is claimed of; of the effects, each by the row that stands for it.
    """
    both = [change for change in changes if change.near is not None]
    kinds = {
        "ratios": both,
        "claimed ratios": [change for change in both if change.claimed],
        "effects": [change for change in both if change.leading],
    }
    return {kind: (sum(bool(change.near) for change in given), len(given)) for kind, given in kinds.items()}


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """The differences of the two runs themselves, a line each."""
    for key in ("schema", "mode", "target"):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key) or 'not stated'} → {new.get(key) or 'not stated'}"
    machines = old["machine"], new["machine"]
    for key in _SAME_MACHINE:
        one, other = (machine.get(key) for machine in machines)
        if one != other and not (key == "lab_cpu_method" and None in {one, other}):  # not every run needs the lab
            yield f"another machine: {key}: {one} → {other}"
    packages = [machine.get("packages") or {} for machine in machines]
    for name in sorted(set().union(*packages)):
        one, other = (versions.get(name) for versions in packages)
        if one != other:
            yield f"{name}: {one or 'none'} → {other or 'none'}"


def compare_text(old: dict[str, Any], new: dict[str, Any], *, width: int = 130) -> str:
    """The comparison as it is printed: what differs about the runs, a table, the shares within 15 %."""
    from rich.console import Console
    from rich.table import Table

    changes = compare(old, new)
    table = Table(title="ratios, old and new", title_justify="left", pad_edge=False)
    table.add_column("effect", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("old", "new", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("within 15 %")
    shown = [change for change in changes if change.near is not None]
    for position, change in enumerate(shown):
        table.add_row(
            "" if position and shown[position - 1].effect == change.effect else change.effect,
            change.what,
            words.times(change.old or 0.0),
            words.times(change.new or 0.0),
            f"{change.change_pct:+.1f} %",
            ("yes" if change.near else "NO") + (", unstable" if change.unstable else ""),
        )
    printed = io.StringIO()
    console = Console(width=width, highlight=False, color_system=None, file=printed)
    for line in differences(old, new):
        console.print(line, markup=False)
    if shown:
        console.print(table)
    for change in changes:
        if change.only_in:
            console.print(f"only in the {change.only_in} run: {change.effect}: {change.what}", markup=False)
        elif change.near is None:
            console.print(f"without a ratio: {change.effect}: {change.what}: {change.found}", markup=False)
    for kind, (near, of) in shares(changes).items():
        console.print(
            f"within 15 % of each other: {near} of {of} {kind}" + (f" ({100 * near / of:.0f} %)" if of else "")
        )
    return printed.getvalue()
