"""Where other engines are: `make setup-bench` puts PySpark into a folder of its own, `.tools/engines`.

In .venv, billfold's own libraries would import it at every start, and be measured with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / ".tools" / "engines"


def environment() -> dict[str, str]:
    """The environment of a process that may import them."""
    path = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
