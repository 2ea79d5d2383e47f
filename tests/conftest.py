# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes tests/lab.py importable from every folder of tests."""
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# A shell starts what runs in its background with SIGINT ignored, and who is started from there inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_journals_left(tmp_path):
    """Each daemon's store has some 100 MiB allocated, and pytest keeps the folders of three runs."""
    yield
    for journal in tmp_path.rglob('journal-*'):
        journal.unlink()
