"""Every format passes the suite."""

import pytest

from exporter.ports import Renderer
from exporter.registry import FORMATS
from exporter.testing import RendererSuite


class TestTxt(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("txt")


class TestJson(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("json")


class TestJsonl(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("jsonl")


class TestCsv(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("csv")


class TestTsv(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("tsv")


class TestXlsx(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        pytest.importorskip("xlsxwriter")
        return FORMATS.load("xlsx")


class TestParquet(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        pytest.importorskip("pyarrow")
        return FORMATS.load("parquet")


class TestSrt(RendererSuite):
    kinds = ("transcript",)

    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("srt")


class TestVtt(RendererSuite):
    kinds = ("transcript",)

    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("vtt")


class TestHtml(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("html")


class TestMd(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        return FORMATS.load("md")


class TestDocx(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        pytest.importorskip("docx")
        return FORMATS.load("docx")


class TestPdf(RendererSuite):
    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        pytest.importorskip("reportlab")
        return FORMATS.load("pdf")
