"""Pure records: what an execution is, what its journal holds, which transitions are legal, how a query reads.

No clock, no I/O, no asyncio: everything here can be tested with plain values, and a storage, an engine and a page mean
the same thing by the same word.
"""
