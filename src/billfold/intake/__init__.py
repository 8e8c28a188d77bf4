"""Intake: files of people and programs become tables of the book, or are refused row by row."""

from __future__ import annotations

from billfold.intake.load import Loaded, load

__all__ = ["Loaded", "load"]
