"""The hall: settings, wiring, intake; later the Celery workers and the job store."""
