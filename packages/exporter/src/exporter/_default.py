"""The service of the process, for applications that need only one."""

from typing import Final

from .service import ExportService

export_service: Final = ExportService()
export_to: Final = export_service.export_to
