"""Runs that nothing can lose: a folder with checkpoints, a log, and what training needs again."""
