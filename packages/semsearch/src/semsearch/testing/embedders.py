"""What every embedder does."""

import numpy as np
import pytest

from ..ports import Embedder


class EmbedderSuite:
    """The behaviour of an embedder."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        """Return the embedder; subclasses override this."""
        raise NotImplementedError("override the fixture 'embedder'")

    def test_shape_and_order(self, embedder: Embedder) -> None:
        """One finite vector per text, in order, of the dimension that is named."""
        texts = ["the tide is high", "a meeting about money", "the tide is high"]
        made = np.asarray(embedder.embed_documents(texts))
        assert made.shape == (3, embedder.dimension)
        assert np.isfinite(made).all()
        assert np.allclose(made[0], made[2], atol=1e-5)
        assert not np.allclose(made[0], made[1], atol=1e-3)

    def test_batches_change_nothing(self, embedder: Embedder) -> None:
        """A text has the same vector alone and among others."""
        alone = np.asarray(embedder.embed_documents(["the tide is high"]))[0]
        among = np.asarray(embedder.embed_documents(["x y z", "the tide is high"]))[1]
        assert np.allclose(alone, among, atol=1e-4)

    def test_related_texts_are_nearer(self, embedder: Embedder) -> None:
        """Texts that share words are nearer than texts that share none."""
        query = np.asarray(embedder.embed_query("ocean tides"))
        near, far = np.asarray(
            embedder.embed_documents(["the tides of the ocean", "invoice for shoes"])
        )
        cosines = [float(v @ query / np.linalg.norm(v)) for v in (near, far)]
        assert cosines[0] > cosines[1]

    def test_the_model_is_named(self, embedder: Embedder) -> None:
        """``model_id`` is a non-empty str that stays."""
        assert embedder.model_id
        assert embedder.model_id == embedder.model_id
