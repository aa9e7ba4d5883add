"""Elasticsearch: documents and vectors, or the words alone (extra ``hosted``)."""

from .keywords import ElasticsearchIndex
from .store import ElasticsearchStore

__all__ = ["ElasticsearchIndex", "ElasticsearchStore"]
