"""Keeping worker processes alive: several of them, forwarded signals, a new one for each that died.

A child is a session of its own, so that a terminal's ^C reaches it only through here. It holds the reading end of a pipe
whose writing end is the supervisor's alone: when that is gone, even by SIGKILL, the child reads the end and drains. So no
child outlives its supervisor unseen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from perdure.cli.text import plural
from perdure.clock import Clock, SystemClock

PARENT: Final = "PERDURE_PARENT_FD"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEALTHY: Final = 60.0
"""Seconds after which an earlier death is forgiven."""
USELESS: Final = frozenset({2, 3})
"""Exit codes that another try would only repeat: usage, precondition."""
LAST_GRACE: Final = 15.0

Say = Callable[[str], None]


class Brood:
    """Child processes of one command line. `environment` is added to this process's, `output` takes what they write."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, output: IO[bytes] | None = None
    ) -> None:
        self.command, self._output = list(command), output
        self._environment = dict(environment or {})
        self._reading, self._writing = os.pipe()
        self.alive: set[asyncio.subprocess.Process] = set()

    async def start(self, *own: str) -> asyncio.subprocess.Process:
        """A new child, with options of its `own`."""
        process = await asyncio.create_subprocess_exec(
            *self.command, *own, env={**os.environ, **self._environment, PARENT: str(self._reading)},
            pass_fds=(self._reading,), start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output, stderr=self._output,
        )  # fmt: skip
        self.alive.add(process)
        return process

    async def ended(self, process: asyncio.subprocess.Process) -> int:
        """The child's exit code, once it has one; a signal is negative."""
        code = await process.wait()
        self.alive.discard(process)
        return code

    def send(self, number: int) -> None:
        """A signal to every child."""
        for process in self.alive:
            if process.returncode is None:
                process.send_signal(number)

    def close(self) -> None:
        """Gives the pipe back."""
        os.close(self._reading)
        os.close(self._writing)


class Supervisor:
    """`count` processes of one command, until a signal says otherwise. `own` are options of each, by its place."""

    def __init__(
        self, command: Sequence[str], count: int, say: Say, clock: Clock | None = None,
        own: Sequence[Sequence[str]] = (),
    ) -> None:  # fmt: skip
        self._brood, self._count, self._say = Brood(command), count, say
        self._own = own or [()] * count
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._signals = 0
        self._code = 0

    async def run(self) -> int:
        """Runs them; answers the exit code: 0 after a drain, 130 when it was cut short, else what a child said."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        try:
            await asyncio.gather(*(self._keep(self._own[place]) for place in range(self._count)))
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            self._brood.send(signal.SIGKILL)
            self._brood.close()
        return 130 if self._signals > 1 else self._code

    async def _keep(self, own: Sequence[str]) -> None:
        """One place among the workers: whoever dies there is replaced."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            process = await self._brood.start(*own)
            if self._stopping.is_set():
                process.terminate()
            code = await self._brood.ended(process)
            if self._stopping.is_set() or code == 0:
                return
            if code in USELESS:
                self._give_up(code)
                return
            pause = FIRST_PAUSE if self._clock.monotonic() - began > HEALTHY else pause
            self._say(f"worker process {process.pid} {ending(code)}; another starts in {pause:g} s")
            await self._pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _pause(self, length: float) -> None:
        waits = [asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(self._clock.sleep(length))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _give_up(self, code: int) -> None:
        self._code = code
        if not self._stopping.is_set():
            self._stopping.set()
            self._brood.send(signal.SIGTERM)

    def _signalled(self) -> None:
        self._signals += 1
        self._stopping.set()
        if self._signals > 2:
            self._brood.send(signal.SIGKILL)
            return
        word = "drain" if self._signals == 1 else "stop"
        self._say(f"{plural(len(self._brood.alive), 'worker process', 'worker processes')} asked to {word}")
        self._brood.send(signal.SIGTERM)
        if self._signals == 2:
            self._clock.call_later(LAST_GRACE, lambda: self._brood.send(signal.SIGKILL))


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def worker_command(app: str, *options: str) -> list[str]:
    """The command line of a worker process."""
    return [sys.executable, "-m", "perdure", "worker", app, *options]


def parent_gone(callback: Callable[[], object]) -> None:
    """In a child: calls back once the supervisor is gone. Does nothing without one."""
    given = os.environ.pop(PARENT, None)
    if given is None:
        return
    loop, descriptor = asyncio.get_running_loop(), int(given)

    def ended() -> None:
        loop.remove_reader(descriptor)
        callback()

    loop.add_reader(descriptor, ended)
