#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A root of this host's own release with nothing in it but what the package depends on, made once.
#
# usage: tests/packages/make_root.sh FOLDER [systemd]      with systemd, or only with its tools for users and folders
#
# No host name is written here: the archive is the one this host installs its own packages from.
set -euo pipefail

folder=$1
packages=liblmdb0,libyaml-0-2
case ${2:-} in
systemd) packages=$packages,systemd ;;
*) packages=$packages,systemd-standalone-sysusers,systemd-standalone-tmpfiles ;;
esac

stop()
{
	printf 'make_root: %s\n' "$@" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || stop 'debootstrap needs root'
[ ! -e "$folder/.complete" ] || exit 0
. /etc/os-release
[ "${ID:-}" = debian ] || stop "this host is $ID; the packages are tested on Debian"
# shellcheck disable=SC2016  # apt's own variables
archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
	awk -v release="$VERSION_CODENAME" '$2 == release && $3 == "Debian" { print $1; exit }')
[ -n "$archive" ] || stop "no archive of Debian $VERSION_CODENAME in this host's package configuration: apt-get update"
command -v debootstrap >/dev/null || stop 'no debootstrap on this host: tools/bootstrap.sh package'

rm -rf "$folder"
mkdir -p "$folder"
echo "make_root: installing Debian $VERSION_CODENAME into $folder (a minute or two)"
debootstrap --variant=minbase --include="$packages" "$VERSION_CODENAME" "$folder" "$archive" >"$folder.log" 2>&1 || {
	tail -n 20 "$folder.log" >&2
	stop "debootstrap failed; its log is $folder.log"
}
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
touch "$folder/.complete"
