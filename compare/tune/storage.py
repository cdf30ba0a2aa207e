"""The study's file: one SQLite database, a study of Optuna's per method. Its values are JSON; nothing is pickled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compare.tune.samplers import TWO_OBJECTIVES
from tasks import IclError

FILE = "study.sqlite"


@contextmanager
def open_storage(path: Path) -> Iterator[Any]:
    """The file, new or as it was left. A damaged one, or a disk that is full, is one line."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        # With a log a commit need not wait for the disk: what a killed process has committed is there all the same.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    storage = None
    try:
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
        yield storage
    except (SQLAlchemyError, sqlite3.DatabaseError) as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise IclError(f"the study {path} cannot be used ({said}); free some space, or remove its directory to search anew") from error
    finally:
        if storage is not None:  # the last connection to be closed takes the log with it
            storage.remove_session()
            storage.engine.dispose()


def open_study(storage: Any, method: str, seed: int, sampler: str) -> Any:
    """The study of a method, new or as it was left."""
    import optuna

    return optuna.create_study(
        storage=storage,
        study_name=f"{method}-{seed}",  # hyperband deals trials out to its brackets by this name
        directions=["maximize", "minimize"] if sampler in TWO_OBJECTIVES else ["maximize"],
        load_if_exists=True,
    )
