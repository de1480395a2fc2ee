"""The commands: `operator-kit run`, `sandbox`, … The only importer of click."""
