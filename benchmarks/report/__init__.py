"""The report of a run: a page, figures, Markdown, a comparison with another run."""

from __future__ import annotations

from .compare import compare, compare_text
from .page import write_figures, write_html

__all__ = ["compare", "compare_text", "write_figures", "write_html"]
