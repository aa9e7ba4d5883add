"""Parts of jobqueue's pages that are made from its code and its measurements.

Nothing that they show is written by hand, so nothing of it can be out of date: a broker or a
setting that has no description fails the build.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MEASURED = Path(__file__).parents[1] / "jobqueue" / "explanation" / "benchmarks"
RUN_IT = "uvx nox -s bench -- jobqueue"
Row = Sequence[str]


class Page(SphinxDirective):
    """A directive that shows a table."""

    def table(self, head: Row, rows: Iterable[Row]) -> list[nodes.Node]:
        """Return a table whose cells are Markdown."""
        lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def attributes(kind: type[Any], without: Container[str] = ()) -> dict[str, str]:
    """Return what a class's docstring says of each attribute that is not in ``without``.

    Raises:
        LookupError: A public field has no description.
    """
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        found |= own_attributes(each)
    names = (
        [each.name for each in msgspec.structs.fields(kind)]
        if issubclass(kind, msgspec.Struct)
        else [each.name for each in fields(kind)]
    )
    wanted = [name for name in names if name not in without]
    if missing := [name for name in wanted if not found.get(name)]:
        raise LookupError(f"{kind.__name__} does not describe {missing}")
    return {name: found[name] for name in wanted}


def own_attributes(kind: type[Any]) -> dict[str, str]:
    """Return what a class's own docstring says of its attributes."""
    _, _, part = (vars(kind).get("__doc__") or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in part.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 8:
            name, _, text = line.strip().partition(": ")
            found[name] = text
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def adapters(plugins: Any, known: Iterable[str]) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their names, all of which ``known`` must describe.

    Raises:
        LookupError: One of the registry is not described, or the other way round.
    """
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    if missing := {kind.__name__ for kind in found} ^ {*known}:
        raise LookupError(f"described, or registered, but not both: {sorted(missing)}")
    return found


class AdaptersPage(Page):
    """What the adapters of a port can do, by their classes."""

    def page(
        self,
        plugins: Any,
        known: Mapping[str, str],
        capabilities: type[Any],
        names: Sequence[str] = (),
    ) -> list[nodes.Node]:
        """Return the table and what its columns mean; ``names`` are some of the capabilities."""
        described = attributes(capabilities)
        shown = names or tuple(described)

        def rows() -> Iterator[Row]:
            for kind, schemes in adapters(plugins, known).items():
                marks = ["yes" if getattr(kind.capabilities, name) else "-" for name in shown]
                yield " ".join(f"`{each}`" for each in schemes), *marks, known[kind.__name__]

        head = ("name", *(f"`{name}`" for name in shown), "tested with")
        legend = "\n".join(f"- `{name}`: {described[name]}" for name in shown)
        return [*self.table(head, rows()), *self.parse_text_to_nodes(legend)]


class BrokersDirective(Page):
    """What each broker of the registry can do, by its class."""

    def run(self) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        from jobqueue.ports import Capabilities
        from jobqueue.registry import BROKERS

        described = attributes(Capabilities)
        classes: dict[type[Any], list[str]] = {}
        for name in BROKERS.names():
            classes.setdefault(BROKERS.load(name), []).append(name)
        rows = [
            [" ".join(f"`{scheme}`" for scheme in schemes), *marks(kind, described)]
            for kind, schemes in classes.items()
        ]
        legend = "\n".join(f"- `{name}`: {text}" for name, text in described.items())
        made = self.table(("scheme", *(f"`{name}`" for name in described)), rows)
        return [*made, *self.parse_text_to_nodes(legend)]


def marks(kind: type[Any], names: Iterable[str]) -> Iterator[str]:
    """Yield yes or no for each capability; where instances decide, that it is the store's."""
    if "capabilities" not in vars(kind):
        yield from ("its store's" for _ in names)
        return
    for name in names:
        yield "yes" if getattr(kind.capabilities, name) else "-"


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from jobqueue import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def settings_of(kind: type[Any], path: str) -> Iterator[Row]:
    """Yield the rows of a section and of those within it."""
    types = {each.encode_name: each for each in msgspec.inspect.type_info(kind).fields}  # type: ignore[union-attr]  a struct
    # a section is described by what is in it
    sections = {
        name for name, each in types.items() if isinstance(each.type, msgspec.inspect.StructType)
    }
    described = attributes(kind, sections)
    for each in msgspec.structs.fields(kind):
        key, info = f"{path}{each.name}", types[each.name].type
        if isinstance(info, msgspec.inspect.StructType):
            yield from settings_of(info.cls, f"{key}.")
        elif isinstance(inner := value_of(info), msgspec.inspect.StructType):
            yield from settings_of(inner.cls, f"{key}.NAME.")
        else:
            yield f"`{key}`", shown(default_of(each)), limits(info), described[each.name]


def default_of(field: Any) -> Any:
    """Return a field's default; None where it must be given."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def value_of(info: Any) -> Any:
    """Return the type of a mapping's values; None for what is no mapping."""
    return info.value_type if isinstance(info, msgspec.inspect.DictType) else None


def plain(value: float) -> str:
    """Return a number in full, a whole one without its point."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,g}"


def shown(value: Any) -> str:
    """Return a default as YAML writes it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"`{int(value) if value.is_integer() else value}`"
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def limits(info: Any) -> str:
    """Return what values are allowed."""
    many = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    for each in many:
        if isinstance(each, msgspec.inspect.LiteralType):
            return ", ".join(f"`{value}`" for value in each.values)
        ends = [
            f"{sign} {plain(value)}"
            for sign, name in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt"))
            if (value := getattr(each, name, None)) is not None
        ]
        if ends:
            return ", ".join(ends)
    names = {"StrType": "text", "BoolType": "true, false"}
    return next((names[type(each).__name__] for each in many if type(each).__name__ in names), "")


class BenchmarksDirective(Page):
    """The figures of the last recorded run: ``about``, ``bars`` or a measurement's name."""

    required_arguments: ClassVar[int] = 1
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return what was asked for; without a recorded run, how to make one."""
        source = MEASURED / "results.json"
        self.env.note_dependency(str(source))
        if not source.exists():
            return self.parse_text_to_nodes(f"*Not measured yet:* `{RUN_IT}`")
        results = json.loads(source.read_text(encoding="utf-8"))
        what = self.arguments[0]
        if what == "about":
            return self.table(("", ""), about(results["about"]))
        if what == "bars":
            head = ("measurement", "on", "bar", "measured", "")
            return self.table(head, bars(results["bars"]))
        return [*self.plot(what), *self.measure(results["measures"].get(what, {}))]

    def plot(self, name: str) -> list[nodes.Node]:
        """Return the picture, if there is one."""
        if not (MEASURED / f"{name}.svg").exists():
            return []
        alt = self.options.get("alt", f"The figures of the table below: {name}")
        return [nodes.image(uri=f"benchmarks/{name}.svg", alt=alt)]

    def measure(self, figures: Mapping[str, Mapping[str, Any]]) -> list[nodes.Node]:
        """Return the table of a measurement, folded away."""
        ordered = sorted(figures.values(), key=lambda each: each["backend"])
        rows = [row(each) for each in ordered]
        return self.table(("who", "on", "median", "from", "to", "told"), rows) if rows else []


def about(facts: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what is known of the machine and the run."""
    plan = facts["plan"]
    yield "measured", facts["measured_at"]
    yield "machine", f"{facts['cores']} cores, {facts['cpu']}, {facts['system']}"
    yield "Python", facts["python"]
    yield from facts["servers"].items()
    yield "queued for a drain", f"{plan['jobs']:,} jobs"
    yield "repetitions", str(plan["repetitions"])
    yield "load when it began", str(facts["load_at_start"])
    for each in facts.get("again", []):
        how = f"{each['repetitions']} repetitions, load {each['load_at_start']}"
        yield f"{each['what']}: again", f"{each['measured_at']}, {how}"


def bars(judged: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield what had to be reached and what was."""
    for each in judged:
        sign = "≥" if each["at_least"] else "≤"
        bar = f"{sign} {each['limit']:,g} {each['what']}"
        met = "met" if each["met"] else "**missed**"
        yield each["measure"], each["backend"], bar, number(each["measured"]), met


def row(figure: Mapping[str, Any]) -> Row:
    """Return the line of one contender."""
    values, extra = sorted(figure["values"]), figure["extra"]
    told = [figure["failure"]] if figure["failure"] else []
    if "p99" in extra:
        told.append(f"99th percentile {number(extra['p99'])} of {extra['count']}")
    if "not_within" in extra and not values:
        told.append(f"not within {extra['not_within']:g} s")
    if "cut_short" in extra:
        told.append("cut short")
    told += [f"{figure['missing']} missing"] if figure["missing"] else []
    told += [f"{figure['duplicates']} ran twice"] if figure["duplicates"] else []
    told += ["a crash loses jobs"] if figure["loses"] and figure["peer"] != "raw" else []
    version = f" {figure['version']}" if figure["version"] else ""
    cells = ("-", "-", "-")
    if values:
        cells = (number(values[len(values) // 2]), number(values[0]), number(values[-1]))
    return f"{figure['title']}{version}", figure["backend"], *cells, "; ".join(told)


def number(value: float) -> str:
    """Return a figure with as many digits as say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("jobqueue-brokers", BrokersDirective)
    app.add_directive("jobqueue-settings", SettingsDirective)
    app.add_directive("jobqueue-benchmarks", BenchmarksDirective)
    return {"version": "1", "parallel_read_safe": True}
