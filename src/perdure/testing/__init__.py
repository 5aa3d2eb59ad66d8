"""For tests of programs that use Perdure, and for people who write a storage or a client.

`TestApp` runs an app on memory and virtual time, `crash_everywhere` crashes a test at each of its durable boundaries,
`FaultyStorage` fails on demand, `always_replay` unwinds every wait. `perdure.testing.conformance` proves a storage or a
client; `perdure.testing.plugin` is the pytest plugin; `perdure.testing.simulation` runs random programs under faults.
"""

from perdure.testing.clock import VirtualClock
from perdure.testing.crash import CrashError, crash_everywhere
from perdure.testing.faults import Fault, FaultyStorage, Operation
from perdure.testing.harness import TestApp, always_replay
from perdure.testing.patience import StuckError

__all__ = [
    "CrashError",
    "Fault",
    "FaultyStorage",
    "Operation",
    "StuckError",
    "TestApp",
    "VirtualClock",
    "always_replay",
    "crash_everywhere",
]
