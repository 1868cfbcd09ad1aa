"""What may be said of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from borex.blackbox import Model
from borex.errors import InputError
from borex.models import as_model


def scores(batch: np.ndarray) -> Any:
    raise AssertionError("nothing is asked")


def test_class_names_are_a_sequence_or_by_index() -> None:
    for labels in (["cat", "dog"], {1: "dog", 0: "cat"}, {"0": "cat", "1": "dog"}, np.array(["cat", "dog"])):
        assert Model(scores, labels=labels).labels == ["cat", "dog"]
    assert Model(scores, labels=[5, 7]).labels == ["5", "7"]
    assert Model(scores).labels is None
    with pytest.raises(InputError, match=r"a dict with the keys \[1, 2\]; expected 0 to 1"):
        Model(scores, labels={1: "cat", 2: "dog"})


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"extent": 224}, r"extent is 224; expected \(H, W\) or \(T, H, W\), for example \(112, 112\)"),
        ({"extent": (224.0, 224.0)}, r"extent is \(224\.0, 224\.0\); expected"),
        ({"extent": (None, 224)}, r"extent is \(None, 224\); expected"),
        ({"extent": (0, 224)}, r"extent is \(0, 224\); expected"),
        ({"extent": (True, 224)}, r"extent is \(True, 224\); expected"),
        ({"extent": (224,)}, r"extent is \(224,\); expected"),
        ({"extent": (3, 16, 224, 224)}, r"extent is \(3, 16, 224, 224\); expected"),
        ({"max_batch": -1}, "max_batch is -1; expected a whole number, at least 1, or None for any"),
        ({"max_batch": 0}, "max_batch is 0; expected"),
        ({"max_batch": 2.5}, r"max_batch is 2\.5; expected"),
        ({"labels": 3}, "labels is 3; expected one text a class, in order"),
        ({"labels": "cat"}, "labels is 'cat'; expected one text a class, in order"),
        ({"labels": {"cat", "dog"}}, "labels is {.*; expected one text a class, in order"),
        ({"labels": ["cat", None]}, r"labels is \['cat', None\]; expected one text a class"),
        ({"labels": {0: "cat", 1: None}}, "expected one text a class"),
        ({"output": "softmax"}, "output is 'softmax'; expected one of 'auto'"),
    ],
)
def test_what_is_said_of_a_model_is_checked_when_it_is_said(stated: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Model(scores, **stated)
    with pytest.raises(InputError, match=says):
        as_model(Model(scores), **stated)


def test_what_is_said_of_a_model_may_be_in_numpys_types() -> None:
    model = Model(scores, extent=np.array([6, 5]), max_batch=np.int64(3), labels=np.arange(3))
    assert (model.extent, model.max_batch, model.labels) == ((6, 5), 3, ["0", "1", "2"])
    assert Model(scores, extent=[4, 6, 5]).extent == (4, 6, 5)
