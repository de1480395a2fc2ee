"""Assembles and runs: settings, lifecycle, signals, probes and the metrics endpoint."""
