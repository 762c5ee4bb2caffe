"""The suite on functions that are deployed in a real account."""

from __future__ import annotations

from .effects import on
from .stack import Stack, TargetError

__all__ = ["Stack", "TargetError", "on"]
