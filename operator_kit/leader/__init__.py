"""One leader acts: Lease lock, elector, fencing."""
