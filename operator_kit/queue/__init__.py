"""The WorkQueue: what must be reconciled next. Knows nothing about Kubernetes."""
