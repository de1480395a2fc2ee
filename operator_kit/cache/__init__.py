"""The cluster as last seen: reflector (list and watch), store, informer, the shared set of informers."""
