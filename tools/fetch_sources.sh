#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Put the source archives pinned in third_party/sources.lock into build/deps/sources, every one checked by sha256.
#
# usage: tools/fetch_sources.sh                  fetch what is missing
#        tools/fetch_sources.sh --bump PACKAGE   pin the revision the archive carries now, rewriting the lock
#
# A file is taken from the first place that has it with the right checksum:
#   1. build/deps/sources                        what an earlier run fetched
#   2. the folder named by PENSTOCK_SOURCES      for hosts without network
#   3. the Debian archive, release trixie        through a private apt configuration under build/deps/apt
# No host name is written here: the archive is the one this host installs its own packages from, and apt checks the
# release signature with Debian's keyring. Nothing outside build/ is changed and no root is needed.
#
# A newer Debian revision of the same upstream release is taken, with a notice, when the pinned one has left the archive:
# that is how security updates arrive, and the archive's signature vouches for it. It is then pinned in the lock file.
# PENSTOCK_TAKE_UPDATES=0 stops instead and says what to do.
set -eu

release=trixie
root=$(cd "$(dirname "$0")/.." && pwd)
lock=$root/third_party/sources.lock
deps=$root/build/deps
sources=$deps/sources
apt=$deps/apt
keyring=/usr/share/keyrings/debian-archive-keyring

say()
{
	printf 'sources: %s\n' "$*"
}

stop()
{
	printf '%s\n' "$@" | sed 's/^/sources: /' >&2
	exit 1
}

lock_lines()
{
	grep -v -e '^#' -e '^[[:space:]]*$' "$lock"
}

sha256_is()
{
	[ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$2" ]
}

index_targets()
{
	# shellcheck disable=SC2016  # apt's own variables
	apt-get "$@" indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null || true
}

# The base URIs this host fetches Debian from, one line each: "main URI" or "security URI". apt expands .list files,
# deb822 .sources files and mirror methods for us. ORIGIN is known, and the first form prints anything, only once the host
# has run apt-get update.
host_archives()
{
	index_targets >"$apt/targets"
	[ -s "$apt/targets" ] || index_targets --no-release-info >"$apt/targets"
	awk '
		$3 != "" && $3 != "Debian" && $3 !~ /^\$/ { next }
		$2 ~ /-security$|\/updates$/ { print "security", $1; next }
		$2 ~ /-updates$|-backports|-proposed/ { next }
		$2 ~ /^(bookworm|trixie|forky|duke|sid|stable|oldstable|testing|unstable)$/ { print "main", $1 }' "$apt/targets" |
	sort -u
}

apt_private()
{
	tool=$1
	shift
	"$tool" -q -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::sourcelist=$apt/penstock.sources" \
		-o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- -o Dir::Etc::preferences=- \
		-o APT::Get::List-Cleanup=0 -o Acquire::Retries=2 -o "APT::Sandbox::User=$(id -un)" "$@"
}

write_stanza()
{
	printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$signed_by"
}

prepare_apt()
{
	[ "${apt_ready:-no}" = no ] || return 0
	command -v apt-get >/dev/null 2>&1 || stop \
		'this host has no apt-get, so the pinned sources cannot be fetched here.' \
		'Put these files in a folder and name it: PENSTOCK_SOURCES=/that/folder' "$(lock_lines | awk '{ print $3 }')"
	signed_by=
	for suffix in gpg pgp; do
		[ -f "$keyring.$suffix" ] && signed_by=$keyring.$suffix
	done
	[ -n "$signed_by" ] || stop "Debian's keyring is missing: install the package debian-archive-keyring"

	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$deps/log"
	host_archives >"$apt/archives"
	grep -q '^main ' "$apt/archives" || stop \
		"found no Debian archive in this host's package configuration (apt-get indextargets)." \
		'Add one, or put the files named in third_party/sources.lock in a folder and set PENSTOCK_SOURCES to it.'
	while read -r kind uri; do
		case $kind in
		main) write_stanza "$uri" "$release $release-updates" ;;
		security) write_stanza "$uri" "$release-security" ;;
		esac
	done <"$apt/archives" >"$apt/penstock.sources"

	say "reading the source index of Debian $release"
	apt_private apt-get update >"$deps/log/apt-update.log" 2>&1 ||
		say "the index could not be read completely, going on (log: build/deps/log/apt-update.log)"
	apt_ready=yes
}

# The newest version of a source package in the archive, or nothing.
archive_version()
{
	apt_private apt-cache showsrc --only-source "$1" 2>/dev/null | awk '$1 == "Version:" { print $2 }' |
	while read -r version; do
		[ -n "${newest:-}" ] && dpkg --compare-versions "$version" le "$newest" && continue
		newest=$version
		echo "$newest"
	done | tail -n 1
}

# Packages pinned without a .dsc need their upstream archive only: we apply nothing of Debian's to them.
download()
{
	only=
	lock_lines | awk -v p="$1" '$1 == p && $3 ~ /\.dsc$/ { found = 1 } END { exit !found }' || only=--tar-only
	say "downloading $1 $2"
	# shellcheck disable=SC2086  # at most one option
	(cd "$sources" && apt_private apt-get source --download-only $only "$1=$2") >"$deps/log/fetch-$1.log" 2>&1
}

# The files of one version as the archive's signed index lists them: "sha256 file", of the kinds we pin.
archive_files()
{
	apt_private apt-cache showsrc --only-source "$1" 2>/dev/null |
	awk -v version="$2" '
		/^Package:/ { take = 0; sums = 0 }
		$1 == "Version:" { take = $2 == version }
		/^[^ ]/ { sums = $1 == "Checksums-Sha256:" }
		take && sums && /^ / { print $1, $3 }'
}

bump()
{
	package=$1
	lock_lines | awk -v p="$package" '$1 == p { found = 1 } END { exit !found }' ||
		stop "$package is not in third_party/sources.lock"
	prepare_apt
	version=$(archive_version "$package")
	[ -n "$version" ] || stop "the archive has no source package $package in $release"
	keep_dsc=no
	lock_lines | grep -q "^$package .*\.dsc " && keep_dsc=yes
	archive_files "$package" "$version" |
	awk -v p="$package" -v v="$version" -v dsc="$keep_dsc" \
		'dsc == "yes" || $2 ~ /\.orig\.tar\.[a-z0-9]+$/ { print p, v, $2, $1 }' >"$apt/bump"
	[ -s "$apt/bump" ] || stop "the archive's index lists no files for $package $version"
	awk -v p="$package" -v new="$apt/bump" '
		$1 != p { print; next }
		!done { while ((getline line < new) > 0) print line; done = 1 }' "$lock" >"$lock.new"
	if cmp -s "$lock" "$lock.new"; then
		rm -f "$lock.new"
		say "$package $version is pinned already"
		return 0
	fi
	mv "$lock.new" "$lock"
	say "pinned $package $version; look through third_party/patches/$package and docs/dependencies.md, then: make deps"
}

# The pinned revision has left the archive.
gone()
{
	package=$1 version=$2
	available=$(archive_version "$package")
	if [ "${PENSTOCK_TAKE_UPDATES:-1}" != 0 ] && [ -n "$available" ] && [ "${available%-*}" = "${version%-*}" ]; then
		say "$package $version has left the archive: taking $available and pinning it (PENSTOCK_TAKE_UPDATES=0 refuses)"
		bump "$package"
		return 0
	fi
	tail -n 3 "$deps/log/fetch-$package.log" >&2 || true
	stop "$package $version, pinned in third_party/sources.lock, could not be fetched." \
		"The archive has now: ${available:-nothing of that name (is the network up?)}" \
		'A pinned revision leaves the archive when a newer one (mostly a security update) replaces it. Either' \
		"  - take the newer one:      tools/fetch_sources.sh --bump $package, then make deps" \
		"  - or supply the old files: set PENSTOCK_SOURCES to a folder that has" \
		"$(lock_lines | awk -v p="$package" '$1 == p { print "      " $3 }')"
}

# Print the packages of which a file is still missing, after trying the cache and PENSTOCK_SOURCES.
packages_missing()
{
	lock_lines | while read -r package version file sha256; do
		sha256_is "$sources/$file" "$sha256" && continue
		if [ -n "${PENSTOCK_SOURCES:-}" ] && sha256_is "$PENSTOCK_SOURCES/$file" "$sha256"; then
			cp "$PENSTOCK_SOURCES/$file" "$sources/$file"
			say "$file: from PENSTOCK_SOURCES" >&2
			continue
		fi
		rm -f "$sources/$file"
		echo "$package $version"
	done | sort -u
}

if [ "${1:-}" = --bump ] && [ $# -eq 2 ]; then
	bump "$2"
	exit 0
fi
[ $# -eq 0 ] || stop 'usage: tools/fetch_sources.sh [--bump PACKAGE]'

mkdir -p "$sources" "$deps/log"
missing=$(packages_missing)
[ -n "$missing" ] || exit 0
prepare_apt
echo "$missing" | while read -r package version; do
	download "$package" "$version" && continue
	gone "$package" "$version"
	download "$package" "$(lock_lines | awk -v p="$package" '$1 == p { print $2; exit }')" ||
		stop "$package could not be downloaded (log: build/deps/log/fetch-$package.log)"
done
missing=$(packages_missing)
[ -z "$missing" ] || stop "these do not match third_party/sources.lock after download: $missing"
say 'all pinned sources are in place and match their checksums'
