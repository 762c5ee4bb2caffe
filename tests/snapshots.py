"""A SnapStart snapshot and its restore, as the runtime client has lambdakit go through them."""

from __future__ import annotations

from lambdakit._snap_start import after_restore as restore
from lambdakit._snap_start import before_snapshot as snapshot

__all__ = ["restore", "snapshot"]
