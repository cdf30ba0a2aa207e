"""The causal language model itself as the network of a gradient-based meta-learner."""
