"""The client: enqueue, wait, read, cancel, against a store in this process. It runs nothing."""
