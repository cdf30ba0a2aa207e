"""Runs on disk: reading, writing, resuming, showing, exporting."""

from icl.runs.files import write_json
from icl.runs.find import find_run, list_runs
from icl.runs.store import Draft, Run, is_finished

__all__ = ["Draft", "Run", "find_run", "is_finished", "list_runs", "write_json"]
