"""Our speed beside that of other programs, and beside the products that a workload cannot do without: `python benchmarks/run.py`."""
