"""The command line: one module per command group, found by `main` when its name is typed.

It stands on the app's public verbs, and on storages only through the protocol. What comes from a store is untrusted text: it
reaches a terminal through `text` alone, and is never read as markup.
"""
