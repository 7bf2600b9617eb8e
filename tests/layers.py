"""The layers of the package: an import may only point down; the architecture test enforces it, a picture shows it."""

from __future__ import annotations

# Highest first; names in one row are neighbours and never import each other.
ROWS = (
    ("__main__",),
    ("cli",),
    ("demo",),
    ("inspection", "synthesis"),
    ("training", "evaluation"),
    ("answering", "scoring", "logbook"),
    ("engine", "models"),
    ("pages",),
    ("data",),
    ("stats",),
    ("runs",),
    ("settings",),
    ("launch",),
    ("config",),
    ("values",),
    ("notation",),
    ("progress",),
    ("console",),
    ("types",),
    ("shown",),
    ("errors",),
    ("machine",),
    ("secrets", "disks"),
)
