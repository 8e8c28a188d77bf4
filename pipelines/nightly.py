"""What `dagster dev -f pipelines/nightly.py` loads: the definitions of the book that the environment names."""

from pipelines.definitions import of_environment

defs = of_environment()
