"""Descriptions are plain JSON, and make again what they describe."""

from __future__ import annotations

import json

from toy import Toy

from metarl_lab.catalog import entries
from metarl_lab.runs.description import options


def test_configurations_survive_json() -> None:
    for name, thing in [*entries("learners").items(), ("toy", Toy)]:
        config = thing.Config()  # type: ignore[attr-defined]
        assert thing.Config(**options(json.loads(json.dumps(vars(config))))) == config, name  # type: ignore[attr-defined]
