"""The score store: every scored span, written answer and embedding, kept in one SQLite file and found by what decided it.

A key is the sha256 of (model fingerprint, dtype, device class, attention path, versions of the engine and of torch and transformers; token
ids; where the span begins). Names, seeds and templates do not count: a second run, another calibration, another metric, an overlapping
sweep find their scores whatever they are called. Values are kept bit for bit. A call's results are committed in one transaction, after the
last of them is computed, so a killed process leaves either all of a call or nothing, and a call that is made again has the same chunk plan.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icl.cost import Clock
from icl.engine.types import Engine, Pooling, Progress, ScoreRequest, Work
from tasks.cache import cache_dir, locked
from tasks.errors import IclError

VERSION = 1
"""Of the file's layout (`PRAGMA user_version`)."""

LOOKUP = 500
"""Keys of one query: SQLite's default limit is 999."""


def store_path() -> Path:
    """`ICL_SCORE_STORE`, or `scores.sqlite` in the user's cache directory."""
    named = os.environ.get("ICL_SCORE_STORE", "").strip()
    return Path(named).expanduser().absolute() if named else cache_dir() / "scores.sqlite"


class ScoreStore:
    """Key → bytes, safe under many processes (WAL, a minute of patience with locks)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # SQLite does not wait when two processes switch a new file to WAL at once: one of them fails. So one at a time sets it up.
        with locked(path, "ICL_SCORE_STORE"), self._explained():
            self._set_up()

    def _set_up(self) -> None:
        self.connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        found = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            raise IclError(f"score store {self.path} must have version {VERSION}, but has {found}; move it away or set ICL_SCORE_STORE")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS spans (key BLOB PRIMARY KEY, value BLOB NOT NULL, kept INTEGER NOT NULL) WITHOUT ROWID"
        )
        self.connection.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Lets go of the file."""
        self.connection.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of the keys that are there."""
        found: dict[bytes, bytes] = {}
        with self._explained():
            for start in range(0, len(keys), LOOKUP):
                part = keys[start : start + LOOKUP]
                marks = ",".join("?" * len(part))
                found.update(self.connection.execute(f"SELECT key, value FROM spans WHERE key IN ({marks})", part))
        return found

    def put(self, items: Iterable[tuple[bytes, bytes]], *, replace: bool = False) -> None:
        """Keeps all of them or none; what is there already stays, unless it is to be replaced."""
        how = "REPLACE" if replace else "IGNORE"
        now = int(time.time())
        with self._explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self.connection.executemany(f"INSERT OR {how} INTO spans VALUES (?, ?, ?)", ((key, value, now) for key, value in items))
                self.connection.execute("COMMIT")
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise

    def count(self) -> int:
        """Values kept."""
        with self._explained():
            return int(self.connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0])

    def prune(self, older_than_days: float) -> int:
        """Drops what was kept longer ago than that; returns how many. The file shrinks."""
        with self._explained():
            limit = int(time.time() - older_than_days * 86400)
            dropped = self.connection.execute("DELETE FROM spans WHERE kept <= ?", (limit,)).rowcount
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(dropped)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A full disk or a damaged file is a clear error, never a wrong number."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise IclError(
                f"score store {self.path} cannot be used ({error}); free some space, or set ICL_SCORE_STORE to another file"
            ) from error
        except sqlite3.DatabaseError as error:
            raise IclError(f"score store {self.path} is damaged ({error}); delete it (scores are then computed again)") from error


@dataclass(frozen=True)
class Identity:
    """Everything but the tokens that decides a score."""

    model: str
    """Fingerprint, adapters included."""
    dtype: str
    device: str
    """Class of device: cpu or cuda and its name."""
    path: str
    """Back end and attention path."""
    versions: str
    """Of the engine, torch and transformers."""

    def digest(self) -> bytes:
        """32 bytes."""
        return hashlib.sha256("\x1f".join([self.model, self.dtype, self.device, self.path, self.versions]).encode()).digest()


class StoredEngine:
    """An engine that asks the store first. Computing is timed under its own phase, looking up under `store`."""

    def __init__(self, inner: Engine, store: ScoreStore, identity: Identity, clock: Clock, *, fresh: bool = False) -> None:
        self.inner = inner
        self.fresh = fresh
        """Whether everything is computed again, whatever the store holds; what is computed then takes the place of what was there."""
        self.store = store
        self.digest = identity.digest()
        self.clock = clock

    @property
    def work(self) -> Work:
        """What was computed; re-used spans are counted apart in `spans_reused`."""
        return self.inner.work

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """See Engine.score."""
        keys = [self._key("score", request.token_ids, str(request.scored_from)) for request in requests]

        def compute(missing: list[int]) -> list[bytes]:
            with self.clock.phase("score"):
                scores = self.inner.score([requests[i] for i in missing], progress)
            if not all(np.isfinite(score).all() for score in scores):
                return []  # never kept: the caller sees them and says so
            return [score.tobytes() for score in scores]

        values = self._through(keys, compute)
        if values is None:
            return self.inner.score(requests, progress)
        return [np.frombuffer(value, dtype=np.float64) for value in values]

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        """See Engine.generate."""
        limits = "\x1e".join([str(max_new_tokens), *stop])
        keys = [self._key("generate", prompt, limits) for prompt in prompts]

        def compute(missing: list[int]) -> list[bytes]:
            with self.clock.phase("generate"):
                texts = self.inner.generate([prompts[i] for i in missing], max_new_tokens, stop, progress)
            return [text.encode("utf-8") for text in texts]

        return [value.decode("utf-8") for value in self._through(keys, compute) or []]

    def embed(self, sequences: Sequence[Sequence[int]], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        """See Engine.embed."""
        keys = [self._key("embed", sequence, pool) for sequence in sequences]

        def compute(missing: list[int]) -> list[bytes]:
            with self.clock.phase("embed"):
                vectors = self.inner.embed([sequences[i] for i in missing], progress, pool)
            return [vector.tobytes() for vector in vectors]

        return np.stack([np.frombuffer(value, dtype=np.float32) for value in self._through(keys, compute) or []])

    def distributions(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """See Engine.distributions. Not kept: a row is as wide as the vocabulary, some 200 kB, a hundred times what it is reduced to."""
        with self.clock.phase("score"):
            return self.inner.distributions(sequences, progress)

    def last_states(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """See Engine.last_states."""
        keys = [self._key("last", sequence, "") for sequence in sequences]

        def compute(missing: list[int]) -> list[bytes]:
            with self.clock.phase("embed"):
                states = self.inner.last_states([sequences[i] for i in missing], progress)
            return [state.tobytes() for state in states]

        return np.stack([np.frombuffer(value, dtype=np.float32) for value in self._through(keys, compute) or []])

    def _key(self, kind: str, token_ids: Sequence[int], detail: str) -> bytes:
        digest = hashlib.sha256(self.digest)
        digest.update(f"{kind}\x1f{detail}\x1f".encode())
        digest.update(np.asarray(token_ids, dtype="<i4").tobytes())
        return digest.digest()

    def _through(self, keys: list[bytes], compute: Callable[[list[int]], list[bytes]]) -> list[bytes] | None:
        """Values by key: from the store, or computed and then kept. None when what was computed must not be kept."""
        with self.clock.phase("store"):
            known = {} if self.fresh else self.store.get(list(dict.fromkeys(keys)))
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        missing = sorted(i for key, i in first.items() if key not in known)
        self.work.spans_reused += sum(key in known for key in keys)
        if missing:
            values = compute(missing)
            if len(values) != len(missing):
                return None
            fresh = dict(zip((keys[i] for i in missing), values, strict=True))
            with self.clock.phase("store"):
                self.store.put(fresh.items(), replace=self.fresh)
            known.update(fresh)
        return [known[key] for key in keys]
