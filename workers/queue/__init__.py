"""Messages and the processes that take them: Celery, its broker, leases kept alive, rounds of upkeep."""
