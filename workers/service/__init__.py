"""The service on one machine: its parts as processes, started, watched, started again, stopped."""
