"""The API server seen from here: discovery, verbs, watch stream, retries, error mapping. The only importer of `kubernetes`."""
