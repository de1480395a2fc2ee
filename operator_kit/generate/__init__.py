"""What can be written for the author: CRDs from types, RBAC and chart values from the registry."""
