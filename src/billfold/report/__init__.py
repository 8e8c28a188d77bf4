"""A run for those who look rather than read: `report` gathers the figures, `page` shows them as one HTML file.

Tables with bars are written here as HTML with inline SVG, and not with a library of charts: a bar then stands beside
the number that it draws, so that chart and table can't disagree; one stylesheet does light, dark, narrow and print;
and the command needs no extra and starts at once.
"""

from __future__ import annotations

from billfold.report.figures import Report, report
from billfold.report.page import page

__all__ = ["Report", "page", "report"]
