# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes tests/lab.py importable from every folder of tests."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


@pytest.fixture(autouse=True)
def no_journals_left(tmp_path):
    """Each daemon's store has some 100 MiB allocated, and pytest keeps the folders of three runs."""
    yield
    for journal in tmp_path.rglob('journal-*'):
        journal.unlink()
