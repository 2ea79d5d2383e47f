# SPDX-License-Identifier: GPL-2.0-or-later
"""bench_disk — how long the store's disk takes by itself: what the 99th percentile of an answer is held against.

Everything in a folder of the file system that the store is on; the files are removed again.
"""
import contextlib
import mmap
import os
import statistics
import time

# As a commit did it at first: the pages of a batch, a flush, the page that makes them valid, a flush.
BATCH_SIZE, PAGE_SIZE, FILE_SIZE = 64 * 1024, 4096, 16 * 1024 * 1024
# What comes in at half rate while a commit of the journal runs, whole pages; and how often somebody comes.
COMMIT_SIZE, ARRIVAL_MS = 24 * 1024, 0.02


def percentile_99(values):
    return sorted(values)[len(values) * 99 // 100]


@contextlib.contextmanager
def scratch_file(folder, flags=0):
    """A file that has its blocks, on the disk; with `flags` where the file system can."""
    path = folder / 'flush'
    path.write_bytes(bytes(FILE_SIZE))
    try:
        file = os.open(path, os.O_RDWR | flags)
    except OSError:
        file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
        yield file
    finally:
        os.close(file)
        path.unlink()


def times_ms(seconds, least, step):
    """How long step(number) takes each time, for that long and at least so often."""
    took_ms = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(took_ms) < least:
        begin = time.perf_counter()
        step(len(took_ms))
        took_ms.append(1000 * (time.perf_counter() - begin))
    return took_ms


def two_flushes_ms(folder, seconds):
    """How long write, flush, write, flush took each time, with nothing else under way."""
    batch, page = os.urandom(BATCH_SIZE), os.urandom(PAGE_SIZE)
    with scratch_file(folder) as file:
        def commit(number):
            os.pwrite(file, batch, BATCH_SIZE * (1 + number % (FILE_SIZE // BATCH_SIZE - 1)))
            os.fdatasync(file)
            os.pwrite(file, page, 0)
            os.fdatasync(file)
        return times_ms(seconds, 1, commit)


def commits_alone_ms(folder, seconds):
    """How long the commits of a store take that does nothing else: one write past the page cache into a file that has
    its blocks and one flush, one after the other."""
    batch = mmap.mmap(-1, COMMIT_SIZE)  # whole pages: O_DIRECT wants them
    batch.write(os.urandom(COMMIT_SIZE))
    with scratch_file(folder, os.O_DIRECT) as file:
        def commit(number):
            os.pwrite(file, batch, COMMIT_SIZE * (number % (FILE_SIZE // COMMIT_SIZE)))
            os.fdatasync(file)
        return times_ms(seconds, 2, commit)


def waits_ms(commits_ms):
    """Of those who come at any time while commits run one after the other: each waits for the end of the one that is
    under way, and for the next one, which has what he brought. A server with one commit at a time, as large, is not
    faster."""
    waits, begin, came = [], 0.0, 0.0
    for took, following in zip(commits_ms, commits_ms[1:]):
        while came < begin + took:
            waits.append(begin + took - came + following)
            came += ARRIVAL_MS
        begin += took
    return waits


def measure(folder, seconds):
    """Both, each for that long: a row of bench_compare's `two_fdatasync`, without its round."""
    took_ms = two_flushes_ms(folder, seconds)
    return {'count': len(took_ms), 'median_ms': round(statistics.median(took_ms), 4),
            'p99_ms': round(percentile_99(took_ms), 4),
            'commits_alone_p99_ms': round(percentile_99(waits_ms(commits_alone_ms(folder, seconds))), 4)}
