"""What is to be learnt: tasks, examples, episodes, and the library of task cards."""

from tasks.errors import DataError, FetchError, IclError
from tasks.rng import keyed_rng
from tasks.types import Episode, Example, Examples, Query, Task

__all__ = ["DataError", "Episode", "Example", "Examples", "FetchError", "IclError", "Query", "Task", "keyed_rng"]
