"""What the next step needs is made while this one is computed: a thread that is one item ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], numbers: Sequence[int]) -> Iterator[T]:
    """make(n) for every n in order. `make` must depend on its number alone, and may run in another thread."""
    if not numbers:
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(make, numbers[0])
        for following in numbers[1:]:
            item = coming.result()
            coming = pool.submit(make, following)
            yield item
        yield coming.result()
