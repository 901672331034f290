"""Labelled CT phantoms of the abdomen, and scans in which nothing may be found."""

from __future__ import annotations
