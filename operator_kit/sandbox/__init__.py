"""The embedded API server: a house of its own; imports nothing of operator-kit but the ground floor."""
