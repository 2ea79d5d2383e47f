#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The file lists are read strictly, versions sort in order of time, and the bill of materials knows every dependency.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

# in_packaging CODE      Python with packaging/ to import from, a copy of the tree's metadata as the root
in_packaging()
{
	PYTHONPATH=$repository/packaging PYTHONDONTWRITEBYTECODE=1 python3 -c "
import os, pathlib, sys
import file_list, release, sbom
toy = pathlib.Path('$toy')
$1"
}

# listed LINE      that line as a list
listed()
{
	printf '# a comment\n%s\n' "$1" >"$toy/a.list"
	touch "$toy/there" "$toy/there-too"
	in_packaging "
for one in file_list.parse(toy / 'a.list', {'': toy, 'build': toy / 'nowhere'}):
    print(one.kind, oct(one.mode), one.source.name, one.destination)"
}

in_order()
{
	dpkg --compare-versions "$1" lt "$2" && [ "$(rpm --eval "%{lua:print(rpm.vercmp('$1', '$2'))}")" = -1 ]
}

version_of_a_clone()
{
	local clone=$toy/clone
	rm -rf "$clone"
	git init -q "$clone"
	git -C "$clone" -c user.name=a -c user.email=a@b commit -q --allow-empty -m one
	[ -z "$1" ] || git -C "$clone" tag "$1"
	[ -z "$2" ] || git -C "$clone" -c user.name=a -c user.email=a@b commit -q --allow-empty -m two
	in_packaging "
os.environ.pop('PACKAGE_VERSION', None)
release.ROOT = toy / 'clone'
found = release.version()
print(found)
import re
assert re.fullmatch(r'$3', found), found"
}

passes 'a file' listed 'file 0644 there /usr/share/there'
passes 'a pattern into a folder' listed 'file 0644 there* /usr/share/'
fails 'a missing file, with its line' "a.list:2: $toy/nowhere/man/x.1 is not there: make man completions" \
	listed 'man build:man/x.1 /usr/share/man/man1/x.1.gz'
fails 'a pattern without a match' 'nothing* is not there' listed 'file 0644 nothing* /usr/share/'
fails 'several files to one place' 'more than one file' listed 'file 0644 there* /usr/share/there'
fails 'an unknown kind' 'a.list:2: unknown kind "fille"' listed 'fille 0644 there /there'
fails 'no mode' 'a mode such as 0644' listed 'file there /there'
fails 'a relative destination' 'an absolute destination' listed 'file 0644 there there'
fails 'an unknown place' '"nowhere:" is no place' listed 'file 0644 nowhere:there /there'

passes 'the version of a tag' version_of_a_clone v1.2.3 '' '1\.2\.3'
passes 'the version after a tag' version_of_a_clone v1.2.3 more '1\.2\.3\+1\.g[0-9a-f]+'
passes 'the version without a tag' version_of_a_clone '' '' '0~1\.g[0-9a-f]{7}'
fails 'a version that no format takes' 'PACKAGE_VERSION=1-2' \
	env PACKAGE_VERSION=1-2 "$repository/packaging/package.py" version
if command -v rpm >/dev/null && command -v dpkg >/dev/null; then
	passes 'commits sort in order' in_order 0~9.gfff 0~10.g000
	passes 'a tag sorts behind no tag' in_order 0~999.gfff 0.1
	passes 'commits sort behind their tag' in_order 1.2.3 1.2.3+1.g000
	passes 'commits sort before the next tag' in_order 1.2.3+9.gfff 1.2.4
fi

passes 'the libraries of the bill are those of the lock and of docs/dependencies.md' in_packaging "
assert len(sbom.libraries('deb')) == len(sbom.LIBRARIES)"
fails 'a pinned source that the bill does not know' 'no row for liburing' in_packaging "
del sbom.LIBRARIES['liburing']
sbom.libraries('deb')"
fails 'a library without a row in docs/dependencies.md' 'no row for zlib' in_packaging "
sbom.LIBRARIES['zlib'] = ('zlib1g-dev', 'Zlib', 'dynamic')
sbom.libraries('deb')"
tool_test_end
