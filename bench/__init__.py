"""Measurements, with a competitor and the bare database beside ours in the same run: `make bench`, or `python -m bench`.

Nothing here is a test and nothing in the tests times anything. Machines differ and minutes differ, so only ratios of
figures that one run measured by turns are worth keeping. Every database is strict durable unless its row says so.
"""
