"""The testing kit: a pytest plugin and fixtures, built on the sandbox."""
