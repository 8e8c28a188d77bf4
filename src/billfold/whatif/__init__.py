"""What other rules would do to a book: two runs of one request, compared document by document. Nothing is written."""

from __future__ import annotations

from billfold.whatif.compare import compare
from billfold.whatif.comparison import Comparison

__all__ = ["Comparison", "compare"]
