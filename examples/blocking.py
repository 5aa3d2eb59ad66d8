"""A program without `async`: `def` bodies, `def` activities, and a blocking client.

python examples/blocking.py
"""

import hashlib
import tempfile
from pathlib import Path

from perdure import BlockingContext, Perdure

app = Perdure()


@app.activity
def checksum(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@app.activity(run_in="process")
def largest_prime_below(limit: int) -> int:
    """Busy work belongs in a process of its own, so that it does not hold up the worker."""
    return max(n for n in range(2, limit) if all(n % divisor for divisor in range(2, int(n**0.5) + 1)))


@app.task
def inspect_folder(ctx: BlockingContext, folder: str) -> dict[str, str]:
    """Runs in a thread. Activities are called plainly; the context's verbs block."""
    paths = ctx.record(list_paths, folder)
    found = {Path(path).name: checksum(path)[:8] for path in paths}
    ctx.sleep(0.1)  # durable, and holds no slot: the thread ends, and the body is replayed
    return found | {"prime": str(largest_prime_below(1000))}


def list_paths(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).iterdir() if path.is_file())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, app as client:
        for name in ("a.txt", "b.txt"):
            Path(folder, name).write_text(f"the text of {name}")
        handle = client.enqueue(inspect_folder.call(folder))
        for name, value in handle.result(timeout=60).items():
            print(name, value)
        print(client.count("task:inspect_folder status:completed"), "completed")


if __name__ == "__main__":
    main()
