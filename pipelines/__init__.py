"""The nightly run for those who have Dagster: `python -m pipelines` shows it in a web page and keeps its schedule."""
