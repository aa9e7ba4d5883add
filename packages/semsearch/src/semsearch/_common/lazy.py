"""The public names of a package, each loaded with its module when it is first asked for (PEP 562).

``import X`` then costs little more than bare Python, whatever of it is used later.
"""

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def exports(
    package: str, names: "Sequence[str]", modules: "Sequence[str]"
) -> "tuple[Callable[[str], object], Callable[[], list[str]]]":
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The package's ``__name__``.
        names: Its ``__all__``.
        modules: Where the names are defined, lowest layer first: they are loaded in this order
            until one has the name. They are attributes of the package themselves.
    """

    def __getattr__(name: str) -> object:  # noqa: N807  the module's own
        if name in modules:
            return import_module(f".{name}", package)
        if name in names:
            for module in modules:
                found = vars(import_module(f".{module}", package))
                if name in found:
                    setattr(sys.modules[package], name, found[name])
                    return found[name]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807  the module's own
        own = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*names, *modules, *own})

    return __getattr__, __dir__
