"""Metric sinks (plain Python) and log formatting; one exporter module, the only importer of prometheus_client."""
