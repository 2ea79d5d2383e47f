# SPDX-License-Identifier: GPL-2.0-or-later
"""RPM packages from the laid out trees: a spec file made from the same lists, and rpmbuild.

The programs are linked before and stripped already, so rpmbuild only packs; what it would do to them (strip, links by
build id) is off. LMDB and libyaml are linked statically here: distributions with rpm name these libraries differently.
"""
import os
import time

import release
from file_list import ROOT_PACKAGE, gzip_bytes, run, stop

ZSH = ('/usr/share/zsh/vendor-completions/', '/usr/share/zsh/site-functions/')


def changelog(version, date):
    return gzip_bytes(f'{version}  {date}\n\nWhat changed is in the history of the sources.\n'.encode())


def move(entry_destination):
    """Where distributions with rpm keep it."""
    return entry_destination.replace(*ZSH)


def tag_line(entry):
    mark = {'config': '%config(noreplace) ', 'doc': '%doc ', 'man': '%doc ', 'licence': '%license '}.get(entry.kind, '')
    return f'%attr({entry.mode:04o}, root, root) {mark}{move(entry.destination)}\n'


def folders_of(plan, package):
    """Those that are ours alone."""
    found = set()
    for entry in plan.entries[package]:
        folder = os.path.dirname(entry.destination)
        while 'penstock' in folder:
            found.add(folder)
            folder = os.path.dirname(folder)
    return sorted(found)


def files(plan, package):
    own = ''.join(f'%dir %attr(0755, root, root) {folder}\n' for folder in folders_of(plan, package))
    name = '' if package == ROOT_PACKAGE else f' -n {package}'
    return f'%files{name}\n{own}' + ''.join(tag_line(entry) for entry in plan.entries[package]) + '\n'


def debug_files(plan, package):
    lines = [f'%files -n {package}-debuginfo\n', '%dir /usr/lib/debug\n', '%dir /usr/lib/debug/.build-id\n']
    for one in plan.build_ids[package]:
        lines += [f'%dir /usr/lib/debug/.build-id/{one[:2]}\n',
                  f'%attr(0644, root, root) /usr/lib/debug/.build-id/{one[:2]}/{one[2:]}.debug\n']
    return ''.join(lines) + '\n'


def head(package, fields, text):
    opening = '' if package == ROOT_PACKAGE else f'%package -n {package}\n'
    closing = '%description\n' if package == ROOT_PACKAGE else f'%description -n {package}\n'
    return opening + ''.join(f'{key}: {value}\n' for key, value in fields) + f'\n{closing}{text}\n\n'


def capital(text):
    return text[0].upper() + text[1:]


def with_debuginfo(plan):
    return [package for package in release.PACKAGES if plan.build_ids[package]]


def spec(plan):
    scripts = (release.ROOT / 'packaging/rpm/scriptlets').read_text(encoding='utf-8')
    date = time.strftime('%a %b %d %Y', time.gmtime(plan.epoch))
    parts = []
    for package in release.PACKAGES:
        fields = [('Summary', capital(release.SUMMARIES[package]))]
        if package == ROOT_PACKAGE:
            fields = [('Name', package), ('Version', plan.version), ('Release', '1')] + fields
            fields += [('License', 'GPL-2.0-or-later'), ('Requires(pre)', 'shadow-utils'),
                       ('Recommends', 'ca-certificates'), ('Suggests', 'penstock-bench penstock-doc')]
        if package == 'penstock-doc':
            fields += [('BuildArch', 'noarch')]
        parts.append(head(package, fields, release.DESCRIPTIONS[package]))
    for package in with_debuginfo(plan):
        fields = [('Summary', f'Debug symbols for {package}'), ('AutoReqProv', 'no')]
        fields += [('Provides', f'debuginfo(build-id) = {one}') for one in plan.build_ids[package]]
        parts.append(head(f'{package}-debuginfo', fields, f'Debug symbols for {package}, found by build id.'))
    roots = ' '.join(f"'{plan.work}/{package}/.' '{plan.work}/{package}-debug/.'" if plan.build_ids[package]
                     else f"'{plan.work}/{package}/.'" for package in release.PACKAGES)
    parts.append(f'%install\ncp -a {roots} %{{buildroot}}/\n\n')
    parts.append(scripts)
    parts += [files(plan, package) for package in release.PACKAGES]
    parts += [debug_files(plan, package) for package in with_debuginfo(plan)]
    parts.append(f'%changelog\n* {date} {release.MAINTAINER} - {plan.version}-1\n- Built from this version.\n')
    return ''.join(parts)


def macros(plan):
    """Nothing of this host, nothing of this moment."""
    return {
        '_topdir': plan.work / 'rpmbuild', '_rpmdir': plan.folder,
        '_rpmfilename': '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
        '_buildhost': 'penstock', 'use_source_date_epoch_as_buildtime': '1', 'clamp_mtime_to_source_date_epoch': '1',
        'source_date_epoch_from_changelog': '0', 'debug_package': '%{nil}', '__os_install_post': '%{nil}',
        '_build_id_links': 'none', '_binary_payload': 'w9T1.xzdio', '_source_payload': 'w9T1.xzdio',
        'packager': release.MAINTAINER, '_docdir_fmt': '%%{NAME}', '_missing_build_ids_terminate_build': '0',
    }


def prepare(plan):
    """Zsh's completions are somewhere else here."""
    for package in release.PACKAGES:
        before, after = (plan.work / package / name.strip('/') for name in ZSH)
        if before.exists():
            after.parent.mkdir(parents=True, exist_ok=True)
            before.rename(after)


def build(plan):
    path = plan.work / 'penstock.spec'
    prepare(plan)
    path.write_text(spec(plan), encoding='utf-8')
    defines = [word for name, value in macros(plan).items() for word in ('--define', f'{name} {value}')]
    done = run('rpmbuild', '-bb', '--quiet', '--target', plan.machine, *defines, path, check=False,
               env={**os.environ, 'SOURCE_DATE_EPOCH': str(plan.epoch), 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'},
               capture_output=True, text=True)
    if done.returncode != 0:
        stop(f'rpmbuild failed:\n{done.stdout}{done.stderr}')
    return sorted(plan.folder.glob('*.rpm'))
