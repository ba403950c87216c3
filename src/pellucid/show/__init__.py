"""Printers, one a file: each reads the same graph."""
