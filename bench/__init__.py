"""Benchmarks: pellucid side by side with what else is installed; `make bench` runs them."""
