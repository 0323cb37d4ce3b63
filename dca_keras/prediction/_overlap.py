"""Three steps on every item, of which neighbours' overlap in time."""

import collections
import itertools
from concurrent.futures import Future, ThreadPoolExecutor

# An item of more bytes is alone in memory.
LARGE = 2**28


def run_overlapping(items, read, work, write, size=lambda item: 0):
    """Read the next item and write the last one while one is worked on.

    Reading and writing have a thread each; the work is done in the caller's.
    At most three items are in memory, and a large one is alone there.

    Args:
        items: Any iterable.
        read: Function of an item.
        work: Function of what was read.
        write: Function of what the work gave.
        size: Function of what was read: its bytes.

    Yields:
        For every item, in their order and once it is done, the item and a
        `Future` that is done: what `write` returned, or the error of the
        first step that failed.
    """
    items = iter(items)
    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
    ):
        ahead, behind = collections.deque(), collections.deque()

        def read_on():
            for item in itertools.islice(items, 1 - len(ahead)):
                ahead.append((item, reader.submit(read, item)))

        read_on()
        while ahead:
            item, future = ahead.popleft()
            alone = future.exception() is None and size(future.result()) > LARGE
            if alone:
                yield from _finish(behind)
            else:
                read_on()
            worked = _attempt(work, future)
            del future  # What was read, if the work kept nothing of it.
            yield from _finish(behind)
            behind.append((item, _then(writer, write, worked)))
            del worked
            if alone:
                yield from _finish(behind)
                read_on()
        yield from _finish(behind)


def _finish(behind):
    """Wait for what is being written, and yield it."""
    while behind:
        item, future = behind.popleft()
        future.exception()
        yield item, future


def _attempt(function, future):
    """Return a done `Future` of a function of another's result."""
    done = Future()
    try:
        done.set_result(function(future.result()))
    except Exception as error:
        done.set_exception(error)
    return done


def _then(pool, function, future):
    """Call a function of a done `Future`'s result in a thread."""
    if future.exception() is not None:
        return future
    return pool.submit(function, future.result())
