"""What an author writes and what runs it: registry, sources and predicates, workers, Context, outcome."""
