#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fail when the wolfSSL we built is the slow one: on x86-64 its code must contain the instructions for AES and SHA-256
# (the library picks them at run time). A build without them is up to thirty times slower and looks the same otherwise.
#
# usage: tools/check_crypto.sh [LIBRARY]      default: build/deps/prefix/lib/libwolfssl.a
set -eu

library=${1:-$(dirname "$0")/../build/deps/prefix/lib/libwolfssl.a}
if [ ! -f "$library" ]; then
	echo "check_crypto: $library is missing (make deps)" >&2
	exit 1
fi
case $(uname -m) in
x86_64) wanted='aesenc sha256rnds2' ;;
aarch64) wanted='aese sha256h' ;;
*)
	echo "check_crypto: no special instructions expected on $(uname -m)"
	exit 0
	;;
esac

counts=$(objdump -d "$library" | awk -v wanted="$wanted" '
	BEGIN { n = split(wanted, name, " ") }
	{ for (i = 1; i <= n; i++) if ($0 ~ "[ \t]v?" name[i] "[ \t]") count[i]++ }
	END { for (i = 1; i <= n; i++) printf "%s %d\n", name[i], count[i] }')
echo "$counts" | while read -r instruction count; do
	[ "$count" -gt 0 ] && continue
	echo "check_crypto: $library contains no $instruction instruction" >&2
	exit 1
done
echo "check_crypto: $(echo "$counts" | awk '{ printf "%s%s x %d", sep, $1, $2; sep = ", " }')"
