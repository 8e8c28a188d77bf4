"""Make data/rating_examples, the vendor's documented rating cases as small tables that can be billed step by step.

    python tools/make_rating_examples.py SPEC_CASES_FOLDER [OUT_FOLDER]

SPEC_CASES_FOLDER holds rating.json. data/rating_examples/extra_cases.json, in the same format, adds to it.
The same cases give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rating_examples.files import write_all

if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    write_all(*map(Path, sys.argv[1:]))
