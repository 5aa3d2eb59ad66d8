"""A parent task: pages of a book are read in parallel, on any worker, and combined at the end. Kill it, start it again.

python examples/tree.py
"""

import asyncio

from perdure import Context, Joined, Perdure, Spawn

app = Perdure()
PAGES = {"tea": ["Tea is a leaf.", "Tea is a drink."], "milk": ["Milk is white.", "", "Milk is a drink."]}


@app.task(retries=0)
async def count_words(title: str, page: int) -> int:
    text = PAGES[title][page]
    if not text:
        raise ValueError(f"page {page} of {title} is empty")
    await asyncio.sleep(0.01)  # a slow reader
    return len(text.split())


def total(joined: Joined[str, int]) -> str:
    """Runs once, when all pages are read or have failed."""
    words = [child.of(count_words) for child in joined.children if child.status == "completed"]
    return f"{joined.input}: {sum(words)} words on {len(words)} of {joined.output} pages"


@app.parent_task(finalize=total, on_child_failure="collect", max_parallel=2)
async def read_book(ctx: Context, title: str) -> Spawn[int]:
    pages = len(PAGES[title])
    return Spawn(output=pages, children=[count_words.call(title, page) for page in range(pages)])


@app.task
async def shout(text: str) -> str:
    return text.upper()


read_loudly = app.sequence("read-loudly", read_book, shout)


async def main() -> None:
    async with app:
        print(await read_book.run("milk"))
        print(await read_loudly.run("tea"))


if __name__ == "__main__":
    asyncio.run(main())
