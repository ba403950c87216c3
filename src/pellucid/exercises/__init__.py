"""The exercises of the teaching documents, solved by the library: steps, numbers, and remarks.

worked(name)  the solution of one, or its questions only; worked() lists them
"""

from pellucid.exercises.exercise import Entry, Part, Worked
from pellucid.exercises.marking import Mark, Marked
from pellucid.exercises.shelf import Listing, worked

__all__ = ["Entry", "Listing", "Mark", "Marked", "Part", "Worked", "worked"]
