"""Parent tasks: a body that says which children to run, a join, and a finalizer that combines what they came to.

joined      Spawn, Joined, TreeResult: what users hold          drive       from the body to the result, pass by pass
plan        what is stored of a Spawn, how children start       declaring   `parent_task` of apps and registries
"""
