"""The door: the service over HTTP: routes, events, problems, keys, limits. Knows the job store, no model."""
