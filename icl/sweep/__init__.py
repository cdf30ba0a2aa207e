"""Many evaluations from one file: a grid or a list over the fields of a run's spec, and one report over all of them."""
