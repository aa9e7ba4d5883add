"""Which template a name means, and what renders it."""

from pathlib import Path

from ..errors import ConfigurationError, TemplateError, UnsupportedOperationError
from ..ports import TemplateEngine
from ..registry import ENGINES
from ..sandbox import NAME
from ..settings import FormatSettings, TemplateSettings
from .documents import DocumentTemplate
from .text import TEXT_FORMATS, TextTemplate

Template = TextTemplate | DocumentTemplate


def takes_templates(format: str) -> bool:
    """Whether there are templates of a format."""
    return format in TEXT_FORMATS or bool(_engines(format))


def find_template(
    format: str, name: str, settings: FormatSettings, limits: TemplateSettings
) -> Template:
    """Find a template in the folder of its format, and compile it if it is text.

    Args:
        format: The format.
        name: As in ``options.template``: a file, or its name without ``.FORMAT.j2``, ``.j2``, or
            the extension of an engine (``.docx``, ``.typ``, ``.html``).
        settings: Of the format: ``template_dir`` is where templates are.
        limits: What a process that renders one may use.

    Raises:
        TemplateError: There is no such template, or it does not compile.
        UnsupportedOperationError: The format takes no templates.
    """
    engines = _engines(format)
    if format not in TEXT_FORMATS and not engines:
        raise UnsupportedOperationError(f"format {format!r} takes no templates")
    if settings.template_dir is None:
        raise TemplateError(
            f"no templates for {format!r}: set formats.{format}.template_dir in the settings"
        )
    if not NAME.fullmatch(name):
        raise TemplateError(f"not a name of a template: {str(name)[:80]!r}; letters, digits, _ . -")
    texts = [name, f"{name}.{format}.j2", f"{name}.j2"] if format in TEXT_FORMATS else [name]
    endings = [f"{name}.{ending}" for ending in engines]
    path = _find(Path(settings.template_dir), [*texts, *endings])
    if path is None:
        raise TemplateError(f"no template {name!r} in formats.{format}.template_dir")
    engine = path.suffix[1:].lower()
    if engine in engines:
        return DocumentTemplate(engine, name, path, limits)
    if format in TEXT_FORMATS:
        return TextTemplate(format, name, path)
    known = ", ".join(f".{ending}" for ending in engines)
    raise TemplateError(f"template {name!r}: {format} is made by templates that end in {known}")


def _find(folder: Path, names: list[str]) -> Path | None:
    root = folder.resolve()
    for name in names:
        path = root / name
        # a link inside the folder could lead anywhere
        if path.is_file() and path.resolve().parent == root:
            return path
    return None


def _engines(format: str) -> list[str]:
    found: list[str] = []
    for name in ENGINES.names():
        engine = ENGINES.load(name)
        if not (isinstance(engine, type) and issubclass(engine, TemplateEngine)):
            raise ConfigurationError(f"the template engine {name!r} is no TemplateEngine class")
        if format in engine.formats:
            found.append(name)
    return found
