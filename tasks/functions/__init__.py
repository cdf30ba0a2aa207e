"""Classes of functions to be learnt from a few points: one per file, drawn with a given stream."""
