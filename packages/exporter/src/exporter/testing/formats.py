"""What every format passes."""

import hashlib
from collections.abc import Iterable

import pytest

from ..documents import Document, Item, Segment
from ..errors import ExportCancelled, ExportTooLarge, InvalidSource
from ..ports import Renderer
from ..sink import Control
from .made import documents, render


class RendererSuite:
    """The behaviour of a format. Each docstring says what to mend when the test fails."""

    kinds: tuple[str, ...] = ("transcript", "summary", "rag", "custom")

    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        """Return the class under test; subclasses override this."""
        raise NotImplementedError("override the fixture 'renderer'")

    def test_declares_itself(self, renderer: type[Renderer]) -> None:
        """``format`` is a lower-case name, ``content_type`` a media type."""
        assert renderer.format == renderer.format.lower()
        assert "/" in renderer.content_type

    def test_takes_every_kind_and_any_text(self, renderer: type[Renderer]) -> None:
        """No text makes it fail; kinds that it cannot show raise ``InvalidSource``."""
        for kind, document in documents().items():
            if kind in self.kinds:
                data, made, _ = render(renderer, document)
                assert made.size == len(data) > 0
                assert made.sha256 == hashlib.sha256(data).hexdigest()
            else:
                with pytest.raises(InvalidSource):
                    render(renderer, document)

    def test_same_input_same_bytes(self, renderer: type[Renderer]) -> None:
        """Nothing of the machine, the moment or chance gets into the file."""
        for kind in self.kinds:
            first, second = (render(renderer, documents()[kind])[0] for _ in range(2))
            assert first == second

    def test_content_only(self, renderer: type[Renderer]) -> None:
        """``include_metadata=False`` gives a valid file, and not a longer one."""
        for kind in self.kinds:
            full, bare = (
                render(renderer, documents()[kind], include_metadata=on)[0] for on in (True, False)
            )
            assert 0 < len(bare) <= len(full)

    def test_empty_document(self, renderer: type[Renderer]) -> None:
        """A document without records is a valid file too."""
        for kind in self.kinds:
            document = Document("Nothing", documents()[kind].kind)
            assert render(renderer, document)[1].records == 0

    def test_is_pulled_record_by_record(self, renderer: type[Renderer]) -> None:
        """Records are written as they come: 2,000 of them are never asked for at once."""
        if "transcript" not in self.kinds:
            return
        seen = 0

        def stream() -> Iterable[Item]:
            nonlocal seen
            for seen in range(1, 2001):
                yield Segment("x", seen * 1.0, seen + 0.9)
                if seen == 1500:
                    raise KeyError("the source broke")

        with pytest.raises(KeyError):
            render(renderer, Document("Long", "transcript"), items=stream())
        assert seen == 1500

    def test_stops_when_cancelled(self, renderer: type[Renderer]) -> None:
        """Cancelled in the middle, it writes no more than a few records more."""
        if "transcript" not in self.kinds:
            return
        control, asked = Control(), 0

        def stream() -> Iterable[Item]:
            nonlocal asked
            for asked in range(100_000):
                if asked == 500:
                    control.stop()
                yield Segment("x", asked * 1.0, asked + 0.9)

        with pytest.raises(ExportCancelled):
            render(renderer, Document("Long", "transcript"), items=stream(), control=control)
        assert asked < 600

    def test_obeys_the_limit(self, renderer: type[Renderer]) -> None:
        """A file over ``max_size`` is an error, however it writes."""
        with pytest.raises(ExportTooLarge):
            render(renderer, documents()[self.kinds[0]], max_size=100)
