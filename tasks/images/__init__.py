"""Image sources of few-shot learning: a file each; episodes as rows of their arrays."""
