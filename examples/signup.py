"""A task list: a sign-up in three steps, in order, each until it works. The id deduplicates.

python examples/signup.py
"""

import asyncio

from perdure import Abort, Context, Perdure, Retry

app = Perdure()


@app.task
async def create_user(name: str) -> int:
    return len(name)


@app.task
async def send_email(ctx: Context, name: str) -> str:
    user = await ctx.item("user")
    if ctx.attempt == 0:
        raise ConnectionError("the mail server is away")  # tried again by the list's policy
    return f"to {name}, user {user.value}, with {ctx.prepared}"


@send_email.prepare
async def token() -> str:
    """Once per list and process, never stored."""
    return "a token"


@app.task
async def send_letter(name: str) -> None:
    raise Abort("no postal address")  # fails this item only


async def main() -> None:
    calls = {"user": create_user.call("ada"), "mail": send_email.call("ada"), "letter": send_letter.call("ada")}
    async with app:
        await app.enqueue_list("signup-ada", calls, retries=Retry.forever(delay=0.05))
        handle = await app.enqueue_list("signup-ada", calls)  # the same list: nothing runs twice
        for item in await handle.result():
            print(item.seq, item.name, item.status, item.value or (item.failure and item.failure.message))


if __name__ == "__main__":
    asyncio.run(main())
