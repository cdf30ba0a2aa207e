"""Whether the Hugging Face hub can be reached, asked once and quickly.

Left alone, the hub's library tries each of its requests six times and says so each time: half a minute and a dozen lines for a machine
that is simply offline. So it is asked once first, in its own way (endpoint, proxies, certificates are the library's business); when no
answer comes, both libraries work as under HF_HUB_OFFLINE, from what their caches hold.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 4.0
"""Seconds to wait for an answer; HF_HUB_ETAG_TIMEOUT sets another number, as it does for the library."""


@contextmanager
def hub_or_cache() -> Iterator[str]:
    """Gives why only the cache can be read inside (the hub does not answer, HF_HUB_OFFLINE is set), or an empty text."""
    import datasets.config
    from huggingface_hub import constants

    before = (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE)
    away = "HF_HUB_OFFLINE is set" if any(before) else "" if answers() else f"{constants.ENDPOINT} does not answer"
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    try:
        if away:
            datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
            for logger in loggers:
                logger.setLevel(logging.ERROR)  # "using the latest cached version": the task's source says so
        yield away
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def answers() -> bool:
    """Whether the hub gives any answer in time. Looking up a name can hang for longer than any timeout, hence the thread."""
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(_ask()), daemon=True)
    asking.start()
    asking.join(_patience() + 1)
    return found == [True]


def _ask() -> bool:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_patience(), follow_redirects=False)
    except Exception:  # noqa: BLE001 - whatever it is, loading would run into it, too, six times; then the cache answers, or an error
        return False
    return True


def _patience() -> float:
    try:
        return float(os.environ["HF_HUB_ETAG_TIMEOUT"])
    except (KeyError, ValueError):
        return PATIENCE
