"""A sweep file to start from."""

EXAMPLE = """\
# A sweep: one report over all cells. `icl sweep FILE --dry-run` prints them; `icl sweep FILE` makes what is not finished yet.
name: first-sweep

# What all cells have: the fields are the options of `icl evaluate`.
task: movie-sentiment
split: validation      # choose here, then evaluate the winner once on the test split
episodes: 5
queries: 40

# Every value of a field with every value of the others.
grid:
  shots: [0, 2, 4, 8]
  template: [sentiment-plain, sentiment-instruct]
  calibration: [none, batch]

# Single cells besides the grid; what they do not say they have from above.
cells:
  - {shots: 8, selector: knn, calibration: batch}

# What the grid must leave out.
exclude:
  - {shots: 0, calibration: batch}
"""
