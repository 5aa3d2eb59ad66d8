"""What both databases share: the plan of each operation, as opposed to the words in which a database is told of it.

A plan says which statements run in which order, and reads their answers by position; the statements themselves are
files of the same names in each database's `sql` folder, and run through a small `Session` that hides the dialect.
`intake`, `commits`, `leases`, `maintenance` and `reading` hold the operations; `draft` loads rows, remembers what
changes and writes it back in sets; `moves` has the rules by which executions settle, wake and close; `insertion` puts
new rows in; `matching` reads queries; `statements` and `migrations` read the files; `storage` puts the operations together.

Hot paths (enqueue, claim, entries, completion) are statements over sets with no row fetched one by one: a thread that
fetches row by row beside a busy event loop gets the interpreter lock once per row, hundreds of times slower. Rare
paths load what they touch and write back what changed. Nothing here opens a connection or knows a database.
"""
