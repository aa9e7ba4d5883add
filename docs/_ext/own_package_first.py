"""Names that several packages have (``ConfigurationError``) mean that of the one that speaks."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain


class OwnPackageFirst(PythonDomain):
    """Python's domain, for a site on several packages that know nothing of each other."""

    def find_obj(self, env: Any, modname: str | None, *where: Any, **how: Any) -> list[Any]:
        """Return what a reference means; of several, that in the package of ``modname``."""
        found: list[Any] = super().find_obj(env, modname, *where, **how)
        if len(found) < 2 or not modname:
            return found
        package = modname.partition(".")[0]
        own = [each for each in found if each[0].partition(".")[0] == package]
        return own[:1]  # none: it speaks of something that is described nowhere


def setup(app: Sphinx) -> dict[str, Any]:
    """Take the place of Python's domain."""
    app.add_domain(OwnPackageFirst, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
