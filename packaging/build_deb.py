# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages from the laid out trees: control files, checksums, maintainer scripts, dpkg-deb.

No debhelper: the file lists say where everything goes. dpkg-shlibdeps computes what the programs need.
"""
import hashlib
import os
import shutil

import release
from file_list import ROOT_PACKAGE, gzip_bytes, run, settle_times, stop

# The user and the folders are made by systemd's tools, which Debian also has without the rest of it.
DEPENDS_USERS = ['systemd | systemd-standalone-sysusers | systemd-sysusers',
                 'systemd | systemd-standalone-tmpfiles | systemd-tmpfiles']


def changelog(version, date):
    text = (f'penstock ({version}) unstable; urgency=medium\n\n  * Built from this version; what changed is in the '
            f'history of the sources.\n\n -- {release.MAINTAINER}  {date}\n')
    return gzip_bytes(text.encode())


def shared_libraries(work, programs):
    """The Depends of these programs."""
    if not programs:
        return []
    folder = work / 'shlibs'
    (folder / 'debian').mkdir(parents=True, exist_ok=True)
    (folder / 'debian' / 'control').write_text('Source: penstock\n\nPackage: penstock\nArchitecture: any\n')
    done = run('dpkg-shlibdeps', '-O', *[f'-e{program}' for program in programs], cwd=folder, capture_output=True,
               text=True)
    for line in done.stdout.splitlines():
        if line.startswith('shlibs:Depends='):
            return line.removeprefix('shlibs:Depends=').split(', ')
    return stop(f'dpkg-shlibdeps says nothing of {programs}:\n{done.stderr}')


def installed_size(root):
    """In KiB, each file rounded up, a folder one: as dpkg-gencontrol counts."""
    total = 0
    for folder, _, files in os.walk(root):
        if folder != str(root):
            total += 1
        total += sum((os.lstat(os.path.join(folder, name)).st_size + 1023) // 1024 for name in files)
    return total


def checksums(root):
    lines = []
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if os.path.islink(path) or os.path.relpath(path, root).startswith('DEBIAN/'):
                continue
            with open(path, 'rb') as file:
                digest = hashlib.md5(file.read()).hexdigest()
            lines.append(f'{digest}  {os.path.relpath(path, root)}\n')
    return ''.join(sorted(lines, key=lambda line: line[34:]))


def description(summary, text):
    paragraphs = [f' {line}' if line else ' .' for line in text.split('\n')]
    return f'{summary}\n' + '\n'.join(paragraphs)


def pack(root, fields, scripts, conffiles, plan):
    """One package of the tree `root`. Returns its path."""
    control = root / 'DEBIAN'
    fields['Installed-Size'] = installed_size(root)
    control.mkdir()
    (control / 'md5sums').write_text(checksums(root))
    if conffiles:
        (control / 'conffiles').write_text(''.join(f'{name}\n' for name in conffiles))
    for name, path in scripts.items():
        shutil.copyfile(path, control / name)
        (control / name).chmod(0o755)
    order = ['Package', 'Source', 'Version', 'Architecture', 'Maintainer', 'Installed-Size', 'Depends', 'Recommends',
             'Suggests', 'Section', 'Priority', 'Auto-Built-Package', 'Build-Ids', 'Description']
    (control / 'control').write_text(''.join(f'{key}: {fields[key]}\n' for key in order if fields.get(key)))
    for name in ('md5sums', 'conffiles', 'control'):
        if (control / name).exists():
            (control / name).chmod(0o644)
    settle_times(root, plan.epoch)
    path = plan.folder / f'{fields["Package"]}_{fields["Version"]}_{fields["Architecture"]}.deb'
    # One thread: how xz splits its work would be in the archive.
    run('dpkg-deb', '--root-owner-group', '--threads-max=1', '-Zxz', '--build', root, path,
        env={**os.environ, 'SOURCE_DATE_EPOCH': str(plan.epoch)}, capture_output=True)
    return path


def build(plan, package):
    """The package and, when it has programs, the one of its debug symbols."""
    programs = [entry for entry in plan.entries[package] if entry.kind == 'program']
    root, debug_root = plan.work / package, plan.work / f'{package}-dbgsym'
    depends = shared_libraries(plan.work, [root / entry.destination.lstrip('/') for entry in programs])
    if package == ROOT_PACKAGE:
        depends += DEPENDS_USERS
    common = {'Version': plan.version, 'Maintainer': release.MAINTAINER}
    fields = {
        **common, 'Package': package, 'Architecture': plan.machine if programs else 'all', 'Priority': 'optional',
        'Section': 'net' if programs else 'doc', 'Depends': ', '.join(depends),
        'Source': '' if package == ROOT_PACKAGE else 'penstock',
        'Recommends': 'ca-certificates' if package == ROOT_PACKAGE else '',
        'Suggests': 'penstock-bench, penstock-doc' if package == ROOT_PACKAGE else '',
        'Description': description(release.SUMMARIES[package], release.DESCRIPTIONS[package]),
    }
    scripts = {path.suffix[1:]: path for path in sorted((release.ROOT / 'packaging/deb').glob(f'{package}.*'))}
    conffiles = [entry.destination for entry in plan.entries[package] if entry.kind == 'config']
    made = [pack(root, fields, scripts, conffiles, plan)]
    if programs:
        document = debug_root / 'usr/share/doc'
        document.mkdir(parents=True)
        (document / f'{package}-dbgsym').symlink_to(package)
        made.append(pack(debug_root, {
            **common, 'Package': f'{package}-dbgsym', 'Source': 'penstock', 'Architecture': plan.machine,
            'Section': 'debug', 'Priority': 'optional', 'Depends': f'{package} (= {plan.version})',
            'Auto-Built-Package': 'debug-symbols', 'Build-Ids': ' '.join(plan.build_ids[package]),
            'Description': f'debug symbols for {package}'}, {}, [], plan))
    return made
