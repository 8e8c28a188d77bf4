"""Invoice schedules: chosen amounts of chosen charges on chosen dates (docs/schedules.md)."""
