"""One program each, in a process of its own; `serve` is what they have in common. Those of other programs import nothing of ours."""
