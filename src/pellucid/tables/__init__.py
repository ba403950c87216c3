"""Tables in files: comma-separated values read as text, then as numbers and categories.

reading   a file's text as names and columns     numbers   cells as numbers
columns   what each column holds                 plan      which columns are used, and what is said
schema    how rows become arrays, kept with the model
"""

from __future__ import annotations

from pellucid.tables.plan import Plan, planned
from pellucid.tables.reading import Table, read
from pellucid.tables.schema import Schema

__all__ = ["Plan", "Schema", "Table", "planned", "read"]
