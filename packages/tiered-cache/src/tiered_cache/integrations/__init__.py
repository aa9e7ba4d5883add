"""Glue to frameworks: Starlette and FastAPI, Django, OpenTelemetry. Import the one you use."""
