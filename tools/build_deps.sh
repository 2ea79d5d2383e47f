#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the pinned libraries (wolfSSL, liburing, yyjson) as static libraries into build/deps/prefix/{include,lib}.
#
# usage: tools/build_deps.sh
#
# Each library has a key: the hash of its lines in third_party/sources.lock, its patches in third_party/patches, this
# script, the compiler and the machine. A library whose key has not changed is left alone, so a second run costs
# nothing. Full logs are in build/deps/log; the file build/deps/READY appears when everything is in place.
# MAKEJOBS sets the number of parallel compiler runs (default: one per CPU), DEPS_CC the compiler (default: gcc).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
deps=$root/build/deps
prefix=$deps/prefix
lock=$root/third_party/sources.lock
jobs=${MAKEJOBS:-$(getconf _NPROCESSORS_ONLN)}
machine=$(uname -m)
compiler=${DEPS_CC:-gcc}
version=

# Debug information carries no path of the machine that built it.
common_cflags="-O2 -g -fPIC -fno-strict-aliasing -fstack-protector-strong -D_FORTIFY_SOURCE=2"

say()
{
	printf 'deps: %s\n' "$*"
}

stop()
{
	printf 'deps: %s\n' "$@" >&2
	exit 1
}

# Run a command with its output in a log and a line every ten seconds; on failure show the end of the log.
run_logged()
{
	what=$1 log=$2
	shift 2
	started=$(date +%s)
	"$@" >>"$log" 2>&1 &
	pid=$!
	waited=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		waited=$((waited + 1))
		[ $((waited % 10)) -ne 0 ] || say "$what: $waited s ..."
	done
	if ! wait "$pid"; then
		tail -n 25 "$log" >&2
		stop "$what failed; the whole log is ${log#"$root"/}"
	fi
	say "$what: $(($(date +%s) - started)) s"
}

lock_lines()
{
	awk -v p="$1" '$1 == p' "$lock"
}

patches_of()
{
	find "$root/third_party/patches/$1" -name '*.patch' 2>/dev/null | LC_ALL=C sort
}

key_of()
{
	{
		lock_lines "$1"
		cat "$root/tools/build_deps.sh"
		patches_of "$1" | while read -r patch_file; do cat "$patch_file"; done
		"$compiler" --version | head -n 1
		echo "$machine $common_cflags"
	} | sha256sum | cut -c 1-16
}

# A fresh source tree in build/deps/src/NAME: Debian's patches applied (dpkg-source does that), then ours.
unpack()
{
	name=$1 log=$2
	tree=$deps/src/$name
	rm -rf "$tree"
	mkdir -p "$deps/src"
	dsc=$(lock_lines "$name" | awk '$3 ~ /\.dsc$/ { print $3 }')
	if [ -n "$dsc" ]; then
		dpkg-source --no-copy -x "$deps/sources/$dsc" "$tree" >>"$log" 2>&1 ||
			stop "$name: dpkg-source could not unpack $dsc, see ${log#"$root"/}"
	else
		mkdir -p "$tree"
		tar -C "$tree" --strip-components=1 -xf "$deps/sources/$(lock_lines "$name" | awk '{ print $3; exit }')"
	fi
	patches_of "$name" | while read -r patch_file; do
		patch_name=$(basename "$patch_file")
		if patch -d "$tree" -p1 --forward --batch --fuzz=0 --dry-run <"$patch_file" >>"$log" 2>&1; then
			patch -d "$tree" -p1 --forward --batch --fuzz=0 <"$patch_file" >>"$log" 2>&1
			continue
		fi
		fixed_by_debian "$tree" "$patch_name" ||
			stop "$name: $patch_name does not apply to this revision, see ${log#"$root"/}"
		say "$name: $patch_name left out, Debian's own patches fix $cve in this revision"
	done
}

# When Debian takes up a fault we patched ourselves, ours must give way: true when the patch is named after CVEs and
# this revision's own patch series or changelog names every one of them.
fixed_by_debian()
{
	cve=$(printf '%s\n' "$2" | grep -oE 'CVE-[0-9]+-[0-9]+' | tr '\n' ' ')
	[ -n "$cve" ] || return 1
	for one in $cve; do
		grep -qsw "$one" "$1/debian/patches/series" "$1/debian/changelog" || return 1
	done
}

install_file()
{
	mkdir -p "$(dirname "$2")"
	cp "$1" "$2.new"
	mv "$2.new" "$2"
}

# What each flag is for is in docs/dependencies.md.
wolfssl_configure()
{
	case $machine in
	x86_64) assembly='--enable-intelasm --enable-aesni --enable-sp --enable-sp-asm' ;;
	aarch64) assembly='--enable-armasm --enable-sp --enable-sp-asm' ;;
	*) assembly='--enable-sp --disable-sp-asm' ;;
	esac
	# shellcheck disable=SC2086  # $assembly is a list of options
	./configure --quiet --enable-silent-rules --enable-static --disable-shared --disable-examples --disable-crypttests \
		--enable-reproducible-build $assembly --enable-sp-math-all \
		--enable-tls13 --disable-oldtls --disable-earlydata --enable-session-ticket --enable-sni --enable-alpn \
		--enable-curve25519 --enable-ed25519 --enable-hkdf --enable-certext --enable-crl --enable-ip-alt-name \
		--enable-altcertchains \
		--disable-aescbc --disable-enc-then-mac --disable-dh --disable-md5 --disable-sha3 --disable-sha224 \
		--disable-pkcs12 --disable-oldnames \
		CC="$compiler" CFLAGS="$common_cflags -ffile-prefix-map=$tree=wolfssl -DWOLFSSL_GETRANDOM \
		-DNO_SESSION_CACHE_REF -DWOLFSSL_ALWAYS_VERIFY_CB -DWOLFSSL_NO_DEF_TICKET_ENC_CB \
		-DWOLFSSL_TICKET_NONCE_MALLOC -DWOLFSSL_EXTRA_ALERTS -DWOLFSSL_HOSTNAME_VERIFY_ALT_NAME_ONLY"
}

wolfssl_steps()
{
	cd "$tree"
	./autogen.sh
	wolfssl_configure
	make -j "$jobs"
	rm -rf "$deps/stage-wolfssl"
	make install DESTDIR="$deps/stage-wolfssl" prefix=/ exec_prefix=/
}

build_wolfssl()
{
	unpack wolfssl "$1"
	run_logged "wolfssl $version" "$1" wolfssl_steps
	# The header of build options repeats our hardening flag, which is the business of the file that includes it.
	sed -i '/_FORTIFY_SOURCE/d' "$deps/stage-wolfssl/include/wolfssl/options.h"
	rm -rf "$prefix/include/wolfssl"
	cp -R "$deps/stage-wolfssl/include/wolfssl" "$prefix/include/wolfssl"
	install_file "$deps/stage-wolfssl/lib/libwolfssl.a" "$prefix/lib/libwolfssl.a"
	rm -rf "$deps/stage-wolfssl"
}

liburing_steps()
{
	cd "$tree"
	./configure --cc="$compiler"
	make -j "$jobs" -C src ENABLE_SHARED=0 CFLAGS="$common_cflags -ffile-prefix-map=$tree=liburing"
}

build_liburing()
{
	unpack liburing "$1"
	run_logged "liburing $version" "$1" liburing_steps
	rm -rf "$prefix/include/liburing" "$prefix/include/liburing.h"
	cp -R "$tree/src/include/liburing" "$prefix/include/liburing"
	install_file "$tree/src/include/liburing.h" "$prefix/include/liburing.h"
	install_file "$tree/src/liburing.a" "$prefix/lib/liburing.a"
}

yyjson_steps()
{
	cd "$tree/src"
	# shellcheck disable=SC2086  # a list of flags
	"$compiler" -std=c99 $common_cflags -ffile-prefix-map="$tree=yyjson" -c yyjson.c -o yyjson.o
	rm -f libyyjson.a
	ar rcs libyyjson.a yyjson.o
}

build_yyjson()
{
	unpack yyjson "$1"
	run_logged "yyjson $version" "$1" yyjson_steps
	install_file "$tree/src/yyjson.h" "$prefix/include/yyjson.h"
	install_file "$tree/src/libyyjson.a" "$prefix/lib/libyyjson.a"
}

mkdir -p "$deps/log" "$deps/stamp" "$prefix/include" "$prefix/lib"

# One builder at a time: two makes started side by side must not unpack over one another.
exec 9>"$deps/lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi

pending=
for library in wolfssl liburing yyjson; do
	[ -f "$deps/stamp/$library.$(key_of "$library")" ] || pending="$pending $library"
done
if [ -n "$pending" ]; then
	rm -f "$deps/READY"
	"$root/tools/fetch_sources.sh"
fi
for library in $pending; do
	# Taken here: the fetching may have rewritten the lock, and what changes from here on is not in this build.
	key=$(key_of "$library")
	version=$(lock_lines "$library" | awk '{ print $2; exit }')
	say "building $library $version (log: build/deps/log/build-$library.log)"
	: >"$deps/log/build-$library.log"
	"build_$library" "$deps/log/build-$library.log"
	rm -f "$deps/stamp/$library".*
	: >"$deps/stamp/$library.$key"
done
if [ ! -f "$deps/READY" ]; then
	awk '!/^#/ && NF && !seen[$1]++ { print $1, $2 }' "$lock" >"$deps/READY"
	say "ready: $(tr '\n' ' ' <"$deps/READY")"
fi
