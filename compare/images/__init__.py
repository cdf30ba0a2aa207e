"""Meta-learning on images, end to end: networks on pixels instead of heads on a language model's features."""
