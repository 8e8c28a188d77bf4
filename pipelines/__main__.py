"""Start Dagster's web page and its scheduler: `python -m pipelines`, with any options of `dagster dev`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_INSTANCE: Final = """\
# Made once by `python -m pipelines`; change it as you like.
telemetry:
  enabled: false
nux:
  enabled: false
# One night after the other, also when many are asked for at once.
concurrency:
  runs:
    max_concurrent_runs: 1
# A run whose process died is started again where it stopped; one that was refused is not.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
"""


def home() -> Path:
    """Dagster's own folder, made if it is not there: DAGSTER_HOME, or `.dagster` here."""
    folder = Path(os.environ.get("DAGSTER_HOME", ".dagster")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "dagster.yaml").exists():
        (folder / "dagster.yaml").write_text(_INSTANCE, encoding="utf-8")
    return folder


def main() -> None:
    """Become `dagster dev`, after a look at the book, so that a wrong one is said here and not on a page."""
    try:
        from billfold.errors import BillfoldError  # noqa: PLC0415 - the next line may fail
        from pipelines.definitions import Place  # noqa: PLC0415 - an extra, which may be missing
    except ModuleNotFoundError as e:
        sys.exit(f"pipelines: {e.name} is missing: pip install 'billfold[pipelines]'.")
    try:
        Place.of_environment().time_zone()
    except BillfoldError as e:
        sys.exit(f"pipelines: {e}")
    os.environ["DAGSTER_HOME"] = str(home())
    paths = [str(_HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]  # what stands in for it is a package of its own
    command = [*quiet, "-m", "dagster", "dev", "-m", "pipelines.nightly", "--host", "127.0.0.1", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - no shell, and nothing of a stranger's


if __name__ == "__main__":
    main()
