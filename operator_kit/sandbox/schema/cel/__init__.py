"""Validation rules in the Common Expression Language, on the CEL library `celpy`; imported only where a schema has rules."""
