"""A tuning's report: page, Markdown and terminal, all views of `tune.json`."""
