"""What must have come of the trees of a simulation, read from the storage when all is over.

No operator is about, so that more is certain than the checker may claim: no tree has other children than its `Spawn` says,
and none was started twice.
"""

from __future__ import annotations

from perdure.model.trees import FINALIZE
from perdure.storage.check import Snapshot
from perdure.testing.simulation.storage import short


def wrong_tree(at: Snapshot) -> str | None:
    """What is wrong with a tree, if anything."""
    for tree in at.trees:
        slots = {*map(tree.plan.slot, range(tree.plan.count)), FINALIZE}
        twice = [slot for slot, children in tree.slots.items() if len(children) > 1]
        if twice or not tree.slots.keys() <= slots:
            return f"tree {short(tree.row.id)} has {list(tree.slots)}, {twice} twice, and planned {sorted(slots)}"
    return None
