"""The lab: a local Lambda for tests, benchmarks and development."""

from __future__ import annotations

from ._lab import EnvironmentRecord, Lab

__all__ = ["EnvironmentRecord", "Lab"]
