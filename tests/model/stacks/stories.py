"""The stories of the search."""

from __future__ import annotations

from tests.model.stacks.story import COPIED_FILE, DEV, OTHER_BACKEND, OTHER_REGION, SAME_SECRET, Story
from tests.support.long import bounds

__all__ = ["FOUND", "REASONS", "STORIES"]

STORIES = {
    "nothing but time": Story(days=3),
    "another account or region": Story(limits={"elsewhere": 1, "refresh": 1}),
    "flags that leave a resource out": Story(limits={"alone": 2, "half": 1}),
    "a first run that crashes": Story(limits={"death": 1}, born=False, days=1),
    "a run that crashes": Story(limits={"death": 1}),
    "a destroy, refused or not": Story(limits={"unprotect": 1, "destroy": 1}),
    "a destroy elsewhere": Story(limits={"unprotect": 1, "elsewhere": 1}, days=1),
    "a replacement": Story(limits={"unprotect": 1, "replace": 1, "take over": 1}),
    "lost state": Story(limits={"state delete": 1, "take over": 1, "wrong take over": 1}),
    "a renamed server": Story(limits={"unprotect": 1, "rename": 1}),
    "a removed server": Story(limits={"unprotect": 1, "remove": 1}),
    "a copied stack file": Story(stacks=DEV | COPIED_FILE, days=1),
    "a copied stack file and a copied secret": Story(
        stacks=DEV | COPIED_FILE, limits={"copy": 1, "take over": 1}, days=1
    ),
    "a replica that another stack takes over": Story(
        stacks=DEV | OTHER_REGION, limits={"replica": 1, "take over": 1}, days=1
    ),
    "a take-over": Story(stacks=DEV | SAME_SECRET, limits={"take over": 1}),
    "a former owner": Story(
        stacks=DEV | SAME_SECRET, limits={"take over": 1, "unprotect": 1, "destroy": 1, "alone": 1}, days=1
    ),
    "a pair that its new owner destroys": Story(
        stacks=DEV | SAME_SECRET, limits={"take over": 1, "wrong take over": 1, "unprotect": 1, "destroy": 1}, days=1
    ),
    "a pair that a second backend destroys, and a refresh": Story(
        stacks=DEV | OTHER_BACKEND, limits={"take over": 1, "unprotect": 1, "destroy": 1, "refresh": 1}, days=1
    ),
    "stacks of two regions in one account": Story(
        stacks=DEV | OTHER_REGION, limits={"replica": 1, "take over": 1, "unprotect": 1, "destroy": 1}, days=1
    ),
    "a second backend": Story(stacks=DEV | OTHER_BACKEND, limits={"take over": 1}),
    "a lost secret": Story(limits={"lose": 1, "lost main": 1, "wrong lost main": 1, "refresh": 1}, days=1),
    "a restored secret": Story(limits={"restore": 1, "moved": 1, "refresh": 1}, days=1),
    "a moved secret": Story(limits={"replica": 1, "moved": 1, "elsewhere": 1, "reads": 1}, days=1),
    "a take-over during a run": Story(stacks=DEV | SAME_SECRET, limits={"between": 1}),
    "two first runs at the same time": Story(stacks=DEV | OTHER_BACKEND, limits={"between": 1}, born=False, days=1),
    "two programs with one state, one after the other": Story(limits={"again": 1}, days=bounds(1, long=2)),
    "two programs with one state, and tags that are last-writer-wins": Story(limits={"last write": 1}),
    "a first run of two programs, and tags that are last-writer-wins": Story(
        limits={"last write": 1}, born=False, days=1
    ),
    "main is replaced by two programs, and tags that are last-writer-wins": Story(
        limits={"replace main": 1, "last write": 1}, days=1
    ),
    "a take-over, and tags that are last-writer-wins": Story(
        stacks=DEV | SAME_SECRET, limits={"last write of another": 1}, days=bounds(1, long=2)
    ),
    "first runs of two backends, and tags that are last-writer-wins": Story(
        stacks=DEV | OTHER_BACKEND, limits={"last write of another": 1}, born=False, days=1
    ),
    "a lost record of the sent certificates": Story(limits={"forget": 1, "disarm": 1}, days=1),
    "stale reads": Story(limits={"stale": 1}),
    "a replacement with a stale read": Story(limits={"unprotect": 1, "stale replace": 1, "take over": 1}, days=1),
    "a destroy that crashes": Story(limits={"unprotect": 1, "half destroy": 1}),
    "a switch that is deleted from outside": Story(limits={"disarm": 1, "refresh": 1}),
    "main is replaced": Story(limits={"replace main": 1, "half": 1}),
    "main is replaced by a run that crashes": Story(limits={"replace main": 1, "death": 1}, days=bounds(1, long=2)),
    "main is replaced, and stale reads": Story(limits={"replace main": 1, "stale": 1}, days=bounds(1, long=2)),
    "main is replaced, and the pair is taken over": Story(
        stacks=DEV | SAME_SECRET, limits={"replace main": 1, "take over": 1, "half": 1}, days=1
    ),
    "a stolen main": Story(limits={"stolen main": 1, "half": 1}),
    "a stolen main, and a run that crashes": Story(limits={"stolen main": 1, "death": 1}, days=bounds(1, long=2)),
    "no reserve, while the server presents it": Story(limits={"no reserve": 1, "present": 1}),
    "no reserve, and a run that crashes": Story(limits={"no reserve": 1, "death": 1}, days=bounds(1, long=2)),
    "a distrusted certificate": Story(limits={"distrust": 1, "present": 1, "half": 1}),
}

FOUND = {
    "main is replaced, and a take-over during the run": Story(
        stacks=DEV | SAME_SECRET, limits={"replace main": 1, "between": 1}, days=1
    ),
}
"""Stories with a known violation, and its description."""
REASONS = {
    "main is replaced, and a take-over during the run": """
        a run has sent the next main and is about to apply it. Another stack takes the pair over; its definition does
        not replace main, so it sends a profile without the next main. Then the first run applies the next main.
        Devices do not trust main until the next `up` of the new owner""",
}
