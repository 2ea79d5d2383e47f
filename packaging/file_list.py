# SPDX-License-Identifier: GPL-2.0-or-later
"""The file lists of the packages, read and laid out as a tree.

A line is  KIND [MODE] SOURCE DESTINATION . SOURCE is below the repository, or below a place: "build:" is the folder of
the build, "programs:" that of the programs linked for the format, "made:" the package's own. It may be a pattern when
DESTINATION ends in "/". Kinds:

  program   mode 0755, stripped; its debug symbols go to the package of those, by build id
  config    a file that is the administrator's once it is there
  man       compressed
  doc       documentation
  licence   a licence's text, where the format wants it (Debian has it in common-licenses)
  file      anything else

A source that is not there stops the build and names the line.
"""
import dataclasses
import glob
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT_PACKAGE = 'penstock'
KINDS = ('program', 'config', 'man', 'doc', 'licence', 'file')


def stop(message):
    sys.exit(f'packaging: {message}')


@dataclasses.dataclass(frozen=True)
class Entry:
    kind: str
    mode: int
    source: pathlib.Path
    destination: str  # absolute


def parse(path, places):
    """The entries of a list. `places` maps names, and "" (the repository), to folders."""
    entries = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        fields = line.split('#')[0].split()
        if not fields:
            continue
        where = f'{path}:{number}'
        kind = fields[0]
        if kind not in KINDS:
            stop(f'{where}: unknown kind "{kind}"; there are {", ".join(KINDS)}')
        mode = {'program': 0o755, 'man': 0o644}.get(kind)
        if mode is None:
            if len(fields) < 2 or not re.fullmatch('0[0-7]{3}', fields[1]):
                stop(f'{where}: a mode such as 0644 is expected after "{kind}"')
            mode = int(fields.pop(1), 8)
        if len(fields) != 3 or not fields[2].startswith('/'):
            stop(f'{where}: KIND [MODE] SOURCE DESTINATION is expected, with an absolute destination')
        entries += expand(where, kind, mode, fields[1], fields[2], places)
    return entries


def expand(where, kind, mode, source, destination, places):
    place, _, name = source.rpartition(':')
    if place not in places:
        stop(f'{where}: "{place}:" is no place')
    found = sorted(glob.glob(str(places[place] / name)))
    if not found:
        hint = ': make man completions all makes what is below build:' if place == 'build' else ''
        stop(f'{where}: {places[place] / name} is not there{hint}')
    if len(found) > 1 and not destination.endswith('/'):
        stop(f'{where}: {source} is more than one file; end the destination with "/"')
    return [Entry(kind, mode, pathlib.Path(one),
                  destination + os.path.basename(one) if destination.endswith('/') else destination) for one in found]


def place_of(root, destination):
    path = root / destination.lstrip('/')
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def gzip_bytes(data):
    """Without name and time, so that the same is the same."""
    return gzip.compress(data, 9, mtime=0)


def run(*command, check=True, **more):
    return subprocess.run([str(word) for word in command], check=check, **more)


def build_id(program):
    """The build id, hexadecimal."""
    text = run('readelf', '-n', program, capture_output=True, text=True).stdout
    found = re.search(r'Build ID: ([0-9a-f]{40})', text)
    if not found:
        stop(f'{program} has no build id: link it with -Wl,--build-id=sha1')
    return found[1]


def lay_out(entries, root, debug_root):
    """Fills `root` with what the entries say, and `debug_root` with the symbols taken off the programs. Returns the
    build ids."""
    ids = []
    for entry in entries:
        path = place_of(root, entry.destination)
        if entry.kind == 'program':
            ids.append(build_id(entry.source))
            debug = place_of(debug_root, f'/usr/lib/debug/.build-id/{ids[-1][:2]}/{ids[-1][2:]}.debug')
            run('objcopy', '--only-keep-debug', '--compress-debug-sections', entry.source, debug)
            run('strip', '--strip-unneeded', '--remove-section=.comment', '-o', path, entry.source)
            debug.chmod(0o644)
        elif entry.kind == 'man':
            path.write_bytes(gzip_bytes(entry.source.read_bytes()))
        else:
            shutil.copyfile(entry.source, path)
        path.chmod(entry.mode)
    return ids


def settle_times(root, epoch):
    """Folders 0755, and every time the same."""
    for folder, names, files in os.walk(root, topdown=False):
        for name in files + names:
            os.utime(os.path.join(folder, name), (epoch, epoch), follow_symlinks=False)
        os.chmod(folder, 0o755)
    os.utime(root, (epoch, epoch))
