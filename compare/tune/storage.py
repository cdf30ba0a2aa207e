"""The study's file: one SQLite database, a study of Optuna's per method. Its values are JSON; nothing is pickled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compare.tune.samplers import TWO_OBJECTIVES
from tasks import IclError

FILE = "study.sqlite"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """A damaged file, or a disk that is full, is one line."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise IclError(f"the study {path} cannot be used ({said}); free some space, or remove its directory to search anew") from error


def open_study(path: Path, method: str, seed: int, sampler: str) -> Any:
    """The study of a method, new or as it was left."""
    import optuna
    from sqlalchemy import URL

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    two = sampler in TWO_OBJECTIVES
    with readable(path):
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(URL.create("sqlite", database=str(path)).render_as_string()),
            study_name=f"{method}-{seed}",  # hyperband deals trials out to its brackets by this name
            directions=["maximize", "minimize"] if two else ["maximize"],
            load_if_exists=True,
        )
