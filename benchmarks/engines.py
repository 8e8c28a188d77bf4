"""Where other engines are: `make setup-bench` puts PySpark into a folder of its own, `.tools/engines`.

In .venv, billfold's own libraries would import it at every start, and be measured with it.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / ".tools" / "engines"

ENGINES: Final = {
    "sql": "benchmarks.by_hand",
    "pandas": "benchmarks.by_hand_pandas",
    "spark": "benchmarks.by_hand_spark",
}
"""The program by hand of each engine."""

_PACKAGES: Final = {"sql": "duckdb", "pandas": "pandas", "spark": "pyspark"}


def environment() -> dict[str, str]:
    """The environment of a process that may import them."""
    path = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def missing(engine: str) -> str:
    """What an engine lacks here, in words; nothing if it can be used."""
    package = _PACKAGES[engine]
    if not (FOLDER / package).is_dir() and find_spec(package) is None:
        return f"{package} is not installed (make setup-bench installs it)"
    if engine == "spark" and not shutil.which("java") and not os.environ.get("JAVA_HOME"):
        return "there is no Java, which Spark needs"
    return ""
