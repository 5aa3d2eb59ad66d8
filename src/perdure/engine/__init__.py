"""What an execution *is*: tasks and activities as declared, the journal that answers, the driver that runs a body pass by
pass. It knows the storage's records, never a database."""
