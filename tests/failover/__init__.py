"""Replicas as processes of their own, on a sandbox of its own: who leads, what they write, and what happens when they die."""
