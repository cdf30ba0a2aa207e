"""Draws of episodes. Every draw is keyed by (seed, purpose, episode id), so no draw depends on another or on their order.

Draws are prefixes of keyed permutations: asking for fewer queries, or a smaller K, takes a part of what asking for more takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.episodefile import episodes_sha256, read_episodes, write_episodes
from tasks.errors import DataError, IclError, unknown_name
from tasks.normalise import example_key
from tasks.rng import keyed_rng
from tasks.types import Episode, Example, Examples, Task

__all__ = ["episodes_sha256", "read_episodes", "resolve", "sample_episodes", "sample_kshot", "support_at", "write_episodes"]


def sample_episodes(task: Task, *, n: int, queries: int | str, split: str, pool: int | None, seed: int) -> list[Episode]:
    """n episodes for `evaluate`: a pool of demonstration rows (None: the whole split, by reference) and queries of `split`.

    Queries and pool are plain random draws without replacement. Raises IclError when the split is unknown, is where demonstrations come
    from or shares texts with it, or when fewer rows exist than are asked for.
    """
    _check_split(task, split)
    rows, demonstrations = task.splits[split], task.splits["demonstration"]
    count = len(rows) if queries == "all" else _at_least_one("--queries", queries)
    if count > len(rows):
        raise IclError(
            f"at most {len(rows)} queries can be asked of task '{task.name}', split {split}, but {count} were asked for; "
            f"write --queries {len(rows)} or --queries all"
        )
    if pool is not None and _at_least_one("--pool", pool) > len(demonstrations):
        raise IclError(
            f"the pool can have at most the {len(demonstrations)} demonstration rows of task '{task.name}', but {pool} were asked for; "
            f"write --pool {len(demonstrations)} or leave --pool out"
        )
    _check_disjoint(task, split)
    ids, pool_ids = rows.ids, demonstrations.ids
    episodes = []
    for name in _names(n):
        support = None if pool is None else _draw(pool_ids, pool, seed, "pool", name)
        query = _draw(ids, count, seed, "queries", name)
        episodes.append(Episode(name, task.name, "demonstration", support, split, query, task.labels, task.fingerprint))
    return episodes


def sample_kshot(
    task: Task,
    *,
    n: int,
    k_shot: Sequence[int],
    n_query: int,
    split_support: str = "demonstration",
    split_query: str,
    n_way: int | None = None,
    seed: int,
) -> list[Episode]:
    """n episodes for `compare`: max(k_shot) support rows per label, the same plain random queries for every K.

    The support is interleaved (one row of every label, then the next), so the support of a smaller K is a prefix: see `support_at`.
    `n_way` labels are drawn per episode (None: all) and queries have those labels only. A task without labels has K rows in all.
    Raises IclError when a label has fewer rows than K, or the query split fewer rows than `n_query`.
    """
    _check_split(task, split_query, split_support)
    _check_disjoint(task, split_query, split_support)
    if not k_shot or min(k_shot) < 1:
        raise IclError(f"every K must be at least 1, but got {', '.join(map(str, k_shot)) or 'none'}")
    if n_way is not None and len(task.labels) < 2:
        raise IclError(f"n_way needs a task with labels, but '{task.name}' has none; leave it out")
    if n_way is not None and not 2 <= n_way <= len(task.labels):
        raise IclError(f"n_way must be 2 to {len(task.labels)}, the labels of task '{task.name}', but got {n_way}")
    support_rows, query_rows = _by_label(task, split_support), _by_label(task, split_query)
    order = {id: i for i, id in enumerate(task.splits[split_query].ids)}
    episodes = []
    for name in _names(n):
        ways = _ways(task, n_way, seed, name)
        support = _interleaved(task, support_rows, ways, max(k_shot), split_support, seed, name)
        candidates = sorted((id for label in ways or ("",) for id in query_rows.get(label, [])), key=order.__getitem__)
        if _at_least_one("--queries", n_query) > len(candidates):
            raise IclError(
                f"at most {len(candidates)} queries can be asked of task '{task.name}', split {split_query}, but {n_query} were asked "
                f"for; write --queries {len(candidates)}"
            )
        query = _draw(candidates, n_query, seed, "queries", name)
        episodes.append(Episode(name, task.name, split_support, support, split_query, query, ways, task.fingerprint))
    return episodes


def support_at(episode: Episode, task: Task, k: int) -> list[Example]:
    """The support of a K-shot episode for a smaller K: the first k rows of every label, in the episode's order."""
    rows = task.splits[episode.support_split]
    if episode.support is None:
        raise IclError(f"episode {episode.id} takes a whole split as its pool; K per label needs an episode drawn with a K")
    seen: dict[str, int] = dict.fromkeys(episode.labels or ("",), 0)
    kept = []
    for example in (rows.by_id(id) for id in episode.support):
        label = example.target if episode.labels else ""
        if label in seen and seen[label] < k:
            seen[label] += 1
            kept.append(example)
    if short := [label for label, count in seen.items() if count < k]:
        raise IclError(f"episode {episode.id} must hold {k} support rows per label, but has fewer of {', '.join(short)}")
    return kept


def resolve(episode: Episode, task: Task) -> tuple[list[Example] | Examples, list[Example]]:
    """The support pool and the queries of an episode.

    Raises DataError when the episode was drawn from another task or other data, names an unknown row, or when a support row is (or has
    the same normalised text as) a query. A whole split as the pool is disjoint from the other splits since the task was loaded.
    """
    if episode.task != task.name:
        raise DataError(f"episode {episode.id} belongs to task '{episode.task}', not to '{task.name}'")
    if episode.task_fingerprint and episode.task_fingerprint != task.fingerprint:
        raise DataError(
            f"episode {episode.id} was drawn from other data of task '{task.name}' (fingerprint {episode.task_fingerprint[:12]}, "
            f"now {task.fingerprint[:12]}); draw the episodes again"
        )
    if stray := [label for label in episode.labels if label not in task.labels]:
        raise DataError(f"episode {episode.id} names labels that task '{task.name}' does not have: {', '.join(stray)}")
    if episode.support_split == episode.query_split:
        # Also for listed rows: what one episode shows, another of the same file may ask.
        raise DataError(f"episode {episode.id}: demonstrations would come from the evaluated rows (both are '{episode.query_split}')")
    queries = _rows(episode, task, episode.query_split, episode.query)
    _check_targets(episode, queries)
    if episode.support is None:
        if episode.support_split not in task.splits:
            raise unknown_name("split", episode.support_split, task.splits)
        return _in_play(episode, task.splits[episode.support_split], task), queries
    support = _rows(episode, task, episode.support_split, episode.support)
    _check_targets(episode, support)
    asked = {example_key(query, task.kind): query.id for query in queries}
    for example in support:
        if (found := asked.get(example_key(example, task.kind))) is not None:
            raise DataError(f"episode {episode.id}: support and query must be disjoint, but {example.id} has the text of query {found}")
    return support, queries


def _in_play(episode: Episode, rows: Examples, task: Task) -> Examples:
    """The rows whose label is in play."""
    if set(episode.labels) >= set(task.labels):
        return rows
    return Examples(rows.table.select([i for i, target in enumerate(rows.targets) if target in episode.labels]))


def _check_targets(episode: Episode, rows: Sequence[Example]) -> None:
    for row in rows:
        if episode.labels and row.target not in episode.labels:
            raise DataError(f"episode {episode.id}: row {row.id} has the label '{row.target}', but in play are {', '.join(episode.labels)}")


def _rows(episode: Episode, task: Task, split: str, ids: Sequence[str]) -> list[Example]:
    if split not in task.splits:
        raise unknown_name("split", split, task.splits)
    if len(set(ids)) != len(ids):
        raise DataError(f"episode {episode.id} must name every row of {split} once")
    try:
        return [task.splits[split].by_id(id) for id in ids]
    except KeyError as error:
        raise DataError(f"episode {episode.id} names the row {error}, which task '{task.name}' does not have in {split}") from None


def _check_split(task: Task, split: str, support: str = "demonstration") -> None:
    for name in (split, support):
        if name not in task.splits:
            raise unknown_name("split", name, task.splits)
    if split == support:
        others = ", ".join(name for name in task.splits if name != support)
        raise IclError(f"demonstrations would come from the evaluated rows: both are the split '{split}'; evaluate one of {others}")


def _check_disjoint(task: Task, split: str, support: str = "demonstration") -> None:
    """`load_task` makes the splits disjoint; a task that was built by hand is held to the same rule."""
    asked = {example_key(example, task.kind): example.id for example in task.splits[split]}
    shared = [e.id for e in task.splits[support] if example_key(e, task.kind) in asked]
    if shared:
        raise DataError(
            f"demonstrations would come from the evaluated rows: {len(shared)} texts of {support} also stand in {split} "
            f"(the first is row {shared[0]}); remove them from the data"
        )


def _at_least_one(option: str, value: int | str) -> int:
    if not isinstance(value, int) or value < 1:
        raise IclError(f"{option} must be a number from 1{' or all' if option == '--queries' else ''}, but got {value}")
    return value


def _names(n: int) -> list[str]:
    return [f"e{i:03d}" for i in range(_at_least_one("--episodes", n))]


def _draw(ids: Sequence[str], n: int, seed: int, purpose: str, *item: str) -> tuple[str, ...]:
    """The first n of a keyed permutation."""
    order = keyed_rng(seed, purpose, *item).permutation(len(ids))[:n]
    return tuple(ids[int(i)] for i in order)


def _ways(task: Task, n_way: int | None, seed: int, episode: str) -> tuple[str, ...]:
    """The labels in play, in the task's order."""
    if n_way is None:
        return task.labels
    drawn = set(_draw(task.labels, n_way, seed, "ways", episode))
    return tuple(label for label in task.labels if label in drawn)


def _by_label(task: Task, split: str) -> dict[str, list[str]]:
    """Label → ids; one nameless label for a task without labels."""
    rows = task.splits[split]
    found: dict[str, list[str]] = {}
    for id, target in zip(rows.ids, rows.targets, strict=True):
        found.setdefault(target if task.labels else "", []).append(id)
    return found


def _interleaved(
    task: Task, rows: dict[str, list[str]], ways: Sequence[str], k: int, split: str, seed: int, episode: str
) -> tuple[str, ...]:
    columns = []
    for label in ways or ("",):
        ids = rows.get(label, [])
        if len(ids) < k:
            advice = f"ask for K of at most {len(ids)}" if ids else "add some, or take the label out"
            raise IclError(
                f"K = {k} needs {k} rows of every label, but task '{task.name}' has {len(ids)} in {split}"
                f"{f' with label {label}' if label else ''}; {advice}"
            )
        columns.append(_draw(ids, k, seed, "support", episode, label))
    return tuple(id for shot in zip(*columns, strict=True) for id in shot)
