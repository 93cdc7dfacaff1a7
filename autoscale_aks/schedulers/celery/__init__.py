"""Celery as the scheduler: tasks that wait in a broker, and the workers that run on our machines."""
