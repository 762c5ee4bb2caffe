"""What the repr of an environment tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdakit import Environment


def told(env: Environment, name: str) -> str | None:
    """What it tells under this name, with a reason in parentheses behind it; None if nothing."""
    found = re.search(rf" {name}=([^ >]+(?: \([^)]*\))?)", repr(env))
    return None if found is None else found[1]


def clients_of(env: Environment) -> int:
    """How many SDK clients are kept."""
    return int(told(env, "clients") or 0)
