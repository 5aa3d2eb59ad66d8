"""`perdure demo`: real work on real files, a worker killed in the middle, and an honest account of what happened then.

`index` is the durable program, the one to read; `effects` is the log by which it can be caught lying; `search` is the index
that it makes; `run` conducts: it starts workers, kills one, and starts another; `report` counts, and checks what was promised.
"""
