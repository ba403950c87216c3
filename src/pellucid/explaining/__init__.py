"""The graph read as an explanation: symbols, numbers and results, step by step."""
