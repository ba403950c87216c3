"""Gradients, a learner's backward pass and training runs, each put to the test."""
