"""Templates: found by name, rendered in a sandbox (text) or in a limited process (documents)."""

from .documents import DocumentTemplate
from .finding import Template, find_template, takes_templates
from .text import TextTemplate

__all__ = ["DocumentTemplate", "Template", "TextTemplate", "find_template", "takes_templates"]
