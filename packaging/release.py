# SPDX-License-Identifier: GPL-2.0-or-later
"""What a release is called and when it was made: from the last commit and the last tag, never from the clock."""
import os
import pathlib
import re
import subprocess

from file_list import stop

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAINTAINER = 'Penstock maintainers <maintainers@penstock.invalid>'
PACKAGES = ('penstock', 'penstock-bench', 'penstock-doc')
SUMMARIES = {
    'penstock': 'webhook data plane: verified, durable, delivered',
    'penstock-bench': 'load generator with a correctness ledger for Penstock',
    'penstock-doc': 'documentation of Penstock',
}
DESCRIPTIONS = {
    'penstock': '''Penstock takes webhooks in over TLS, proves who sent them, makes them durable
and delivers them, and can show afterwards what happened to each one. It needs
io_uring (Linux 6.1 or newer) and no other service.

The service is neither enabled nor started, and its configuration opens no
port before it is edited: /etc/penstock/penstock.yaml.''',
    'penstock-bench': '''Sends signed webhooks to a running Penstock, receives what it delivers, and
keeps the account: what was acknowledged, delivered, lost, doubled or changed.
Providers, targets and chaos are in this one program.''',
    'penstock-doc': '''Architecture, decisions, performance, installation and packaging of Penstock,
as plain text.''',
}


def git(*arguments):
    """What git says, or nothing where this is no clone."""
    done = subprocess.run(['git', '-C', ROOT, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ''


def version():
    """PACKAGE_VERSION, or from the tag: v1.2.3 is 1.2.3, five commits later 1.2.3+5.gc0ffee; without a tag 0~N.gc0ffee
    counts the commits. Both formats sort these in order of time."""
    given = os.environ.get('PACKAGE_VERSION')
    if given:
        if not re.fullmatch(r'[0-9][A-Za-z0-9.+~]*', given):
            stop(f'PACKAGE_VERSION={given}: a digit, then letters, digits, ".", "+", "~"')
        return given
    dirty = '+dirty' if git('status', '--porcelain', '--untracked-files=no') else ''
    found = re.fullmatch(r'v([0-9][0-9.]*)(?:-([0-9]+)-(g[0-9a-f]+))?', git('describe', '--tags', '--match', 'v[0-9]*'))
    if found:
        return found[1] + (f'+{found[2]}.{found[3]}' if found[2] else '') + dirty
    commit = git('rev-parse', '--short=7', 'HEAD')
    if commit:
        return f'0~{git("rev-list", "--count", "HEAD")}.g{commit}{dirty}'
    file = ROOT / 'VERSION'
    if not file.exists():
        stop('no version: this is no clone and has no file VERSION; set PACKAGE_VERSION')
    return file.read_text(encoding='utf-8').strip().removeprefix('v')


def epoch():
    """SOURCE_DATE_EPOCH, or the time of the last commit."""
    given = os.environ.get('SOURCE_DATE_EPOCH') or git('log', '-1', '--format=%ct')
    if not given.isdigit():
        stop('no time: this is no clone; set SOURCE_DATE_EPOCH')
    return int(given)


def machine(form):
    """What a format calls this machine."""
    command = {'deb': ['dpkg', '--print-architecture'], 'rpm': ['rpm', '--eval', '%_arch']}[form]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
