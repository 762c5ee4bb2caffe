"""The lab: a local Lambda for tests, benchmarks and development."""

from __future__ import annotations

from ._environments.base import EnvironmentRecord
from ._lab import Lab

__all__ = ["EnvironmentRecord", "Lab"]
