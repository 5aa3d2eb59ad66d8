"""Signals: values from outside, typed, kept until asked for, late by record.

python examples/approval.py
"""

import asyncio
from dataclasses import dataclass

from perdure import Context, Perdure, Signal

app = Perdure()


@dataclass
class Vote:
    by: str
    yes: bool


vote = Signal("vote", Vote)


@app.task
async def ballot(ctx: Context, question: str, voters: int, patience: float) -> str:
    """Waits for each vote without holding a worker's slot, for days if it must."""
    votes: list[Vote] = []
    try:
        while len(votes) < voters:
            votes.append(await ctx.wait_for(vote, timeout=patience))
    except TimeoutError:
        return f"{question} no quorum: {len(votes)} of {voters} voted"
    names = ", ".join(each.by for each in votes if each.yes)
    return f"{question} yes: {names}" if sum(each.yes for each in votes) * 2 > voters else f"{question} no"


async def main() -> None:
    async with app:
        tea = await ballot.enqueue("tea?", 3, 86_400)
        await tea.signal(vote, Vote("Ada", yes=True))  # before anybody asks: it is kept
        await tea.signal("vote", {"by": "Bob", "yes": False})  # by name, as another program would
        await tea.signal(vote, Vote("Cleo", yes=True))
        print(await tea.result())

        cake = await ballot.enqueue("cake?", 3, 0.2)
        await cake.signal(vote, Vote("Ada", yes=True))
        print(await cake.result())


if __name__ == "__main__":
    asyncio.run(main())
