"""Hyper-parameters of prompts and learners under equal budgets: `tune` in run.py."""
