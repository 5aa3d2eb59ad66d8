"""The storage conformance suite: what the contract promises, as tests that any storage can be held to.

A storage of your own is held to all of it by one class:

    class TestMyStorage(StorageConformance):
        @pytest.fixture
        def storage(self, tmp_path):
            storage = MyStorage(tmp_path / "it.db")
            storage.migrate(0)
            yield storage
            storage.close()

or to one topic by subclassing that topic's class. Each test names the rule that it tests (R1-R16, see
`perdure.storage.protocol`), passes times as numbers and never sleeps, and ends with the invariant checker.
"""

from perdure.testing.conformance.cancel import CancelConformance
from perdure.testing.conformance.chapters import ChapterConformance
from perdure.testing.conformance.claim import ClaimConformance
from perdure.testing.conformance.client import ClientConformance, OperatorConformance
from perdure.testing.conformance.commit import CommitConformance
from perdure.testing.conformance.enqueue import EnqueueConformance
from perdure.testing.conformance.externals import ExternalConformance
from perdure.testing.conformance.prune import PruneConformance
from perdure.testing.conformance.reads import ReadConformance
from perdure.testing.conformance.reclaim import ReclaimConformance
from perdure.testing.conformance.retry import RetryConformance
from perdure.testing.conformance.signals import SignalConformance
from perdure.testing.conformance.trees import TreeConformance

__all__ = [
    "CancelConformance",
    "ChapterConformance",
    "ClaimConformance",
    "ClientConformance",
    "CommitConformance",
    "EnqueueConformance",
    "ExternalConformance",
    "OperatorConformance",
    "PruneConformance",
    "ReadConformance",
    "ReclaimConformance",
    "RetryConformance",
    "SignalConformance",
    "StorageConformance",
    "TreeConformance",
]


class StorageConformance(
    EnqueueConformance,
    ClaimConformance,
    CommitConformance,
    ChapterConformance,
    TreeConformance,
    SignalConformance,
    ExternalConformance,
    CancelConformance,
    RetryConformance,
    ReclaimConformance,
    ReadConformance,
    PruneConformance,
):
    """All topics at once."""
