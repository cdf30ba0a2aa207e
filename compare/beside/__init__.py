"""Finished evaluations on equal queries, side by side: `icl compare RUN RUN…`."""
