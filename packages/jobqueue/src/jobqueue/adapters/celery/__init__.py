"""Celery between the queue and its workers: messages ring, a store keeps the jobs."""
