# SPDX-License-Identifier: GPL-2.0-or-later
"""bench_disk — how long the store's disk takes by itself: what the 99th percentile of an answer is held against.

Everything in a folder of the file system that the store is on; the files are removed again.
"""
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


def two_flushes_ms(folder, seconds):
    """How long write, flush, write, flush took each time, with nothing else under way."""
    path = folder / 'flush'
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    took_ms = []
    try:
        os.pwrite(file, bytes(FILE_SIZE), 0)
        os.fsync(file)
        batch, page = os.urandom(BATCH_SIZE), os.urandom(PAGE_SIZE)
        until = time.monotonic() + seconds
        while time.monotonic() < until or not took_ms:
            begin = time.perf_counter()
            os.pwrite(file, batch, BATCH_SIZE * (1 + len(took_ms) % (FILE_SIZE // BATCH_SIZE - 1)))
            os.fdatasync(file)
            os.pwrite(file, page, 0)
            os.fdatasync(file)
            took_ms.append(1000 * (time.perf_counter() - begin))
    finally:
        os.close(file)
        path.unlink()
    return took_ms


def commits_alone_ms(folder, seconds):
    """How long the commits of a store take that does nothing else: one write past the page cache into a file that has
    its blocks and one flush, one after the other."""
    path = folder / 'commits'
    path.write_bytes(bytes(FILE_SIZE))
    try:
        file = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError:  # a file system that cannot
        file = os.open(path, os.O_RDWR)
    took_ms = []
    try:
        os.fsync(file)
        batch = mmap.mmap(-1, COMMIT_SIZE)
        batch.write(os.urandom(COMMIT_SIZE))
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(took_ms) < 2:
            begin = time.perf_counter()
            os.pwrite(file, batch, COMMIT_SIZE * (len(took_ms) % (FILE_SIZE // COMMIT_SIZE)))
            os.fdatasync(file)
            took_ms.append(1000 * (time.perf_counter() - begin))
    finally:
        os.close(file)
        path.unlink()
    return took_ms


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
