#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the packages of one format. Called by make, see docs/packaging.md.

usage: packaging/package.py version                       the version of the packages
       packaging/package.py note FORMAT PROGRAM           the package note that is linked into a program, JSON;
                                                          FORMAT: deb or rpm
       packaging/package.py build FORMAT BUILD FOLDER     BUILD: the folder of the build; FOLDER: where the packages go,
                                                          with FORMAT/programs linked for them already

The environment: PACKAGE_VERSION and SOURCE_DATE_EPOCH, instead of the version and time of the last commit.
"""
import dataclasses
import json
import pathlib
import shutil
import sys
import time

import build_deb
import build_rpm
import release
import sbom
from file_list import lay_out, parse, settle_times, stop

FORMATS = {'deb': build_deb, 'rpm': build_rpm}
OWNERS = {'penstockd': 'penstock', 'penstockctl': 'penstock', 'penstock-bench': 'penstock-bench'}


@dataclasses.dataclass
class Plan:
    form: str
    version: str
    epoch: int
    machine: str
    folder: pathlib.Path  # where the packages go
    work: pathlib.Path    # one tree per package
    entries: dict = dataclasses.field(default_factory=dict)
    build_ids: dict = dataclasses.field(default_factory=dict)


def note(form, program):
    """https://systemd.io/ELF_PACKAGE_METADATA: whose a program is, also in a core dump."""
    if program not in OWNERS:
        stop(f'no package has the program {program}')
    return json.dumps({'type': form, 'name': OWNERS[program], 'version': release.version(),
                       'architecture': release.machine(form)}, separators=(',', ':'))


def write_made(plan, made):
    """What is not in the tree: copyright, change log, SBOM."""
    date = time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(plan.epoch))
    made.mkdir(parents=True)
    (made / 'changelog.gz').write_bytes(FORMATS[plan.form].changelog(plan.version, date))
    shutil.copyfile(release.ROOT / 'packaging/copyright', made / 'copyright')
    for name, text in sbom.documents(plan).items():
        (made / name).write_text(text, encoding='utf-8')


def lay_out_all(plan, build, programs):
    made = plan.work / 'made'
    write_made(plan, made)
    places = {'': release.ROOT, 'build': build, 'programs': programs, 'made': made}
    for package in release.PACKAGES:
        entries = parse(release.ROOT / f'packaging/files/{package}.list', places)
        entries = [entry for entry in entries if entry.kind != 'licence' or plan.form == 'rpm']
        debug = plan.work / f'{package}-{"dbgsym" if plan.form == "deb" else "debug"}'
        plan.entries[package] = entries
        plan.build_ids[package] = lay_out(entries, plan.work / package, debug)
        for root in (plan.work / package, debug):
            if root.exists():
                settle_times(root, plan.epoch)


def build(form, build_folder, folder):
    plan = Plan(form, release.version(), release.epoch(), release.machine(form), folder, folder / form / 'work')
    shutil.rmtree(plan.work, ignore_errors=True)
    for old in plan.folder.glob(f'*.{form}'):
        old.unlink()
    lay_out_all(plan, build_folder, folder / form / 'programs')
    if form == 'deb':
        made = [path for package in release.PACKAGES for path in build_deb.build(plan, package)]
    else:
        made = build_rpm.build(plan)
    for path in made:
        print(f'  PACK  {path.relative_to(release.ROOT) if path.is_relative_to(release.ROOT) else path}')
    shutil.rmtree(plan.work)


def main(arguments):
    if arguments == ['version']:
        print(release.version())
    elif len(arguments) == 3 and arguments[0] == 'note' and arguments[1] in FORMATS:
        print(note(*arguments[1:]))
    elif len(arguments) == 4 and arguments[0] == 'build' and arguments[1] in FORMATS:
        build(arguments[1], pathlib.Path(arguments[2]).resolve(), pathlib.Path(arguments[3]).resolve())
    else:
        print(__doc__, file=sys.stderr)
        return 64
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
