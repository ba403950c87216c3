"""Checking: gradients against differences, a learner's backward pass against the graph, training runs."""
