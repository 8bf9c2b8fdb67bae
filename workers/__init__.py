"""The hall: what a run is wired from, the job store, the Celery workers, settings."""
