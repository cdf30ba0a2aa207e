"""Runs on disk: reading, writing, resuming, showing, exporting."""

from icl.runs.store import Draft, Run, find_run, is_finished, list_runs, write_json

__all__ = ["Draft", "Run", "find_run", "is_finished", "list_runs", "write_json"]
