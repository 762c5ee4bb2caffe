"""The lab: a local Lambda for tests, benchmarks and development."""

from __future__ import annotations

from ._lab import Lab
from ._record import EnvironmentRecord

__all__ = ["EnvironmentRecord", "Lab"]
