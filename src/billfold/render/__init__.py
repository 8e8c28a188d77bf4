"""Documents that people can send: `billfold render`, and the same from Python."""

from __future__ import annotations

from billfold.render.papers import Wanted
from billfold.render.render import Rendered, data_of, render

__all__ = ["Rendered", "Wanted", "data_of", "render"]
