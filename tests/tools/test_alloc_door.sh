#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No object of the daemon asks for memory but through base/alloc.c, where it is counted and hot threads may not; wolfSSL's
# hooks in tls/tls_memory.c are the named exception. What the C library allocates by itself (open_memstream() and the free()
# of what it made) is for cold threads: the configuration, control and telemetry.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

library=${PENSTOCK_LIBRARY:-$repository/build/release/libpenstock.a}

# symbols : objects that may need them
doors='
malloc calloc realloc reallocarray posix_memalign aligned_alloc memalign : alloc.o tls_memory.o
free : alloc.o tls_memory.o config_format.o config_walk.o
strdup strndup asprintf vasprintf __asprintf_chk __vasprintf_chk getline getdelim __getdelim :
mmap mmap64 mremap brk sbrk : alloc.o store_journal_segment.o
open_memstream : config_format.o config_walk.o control_generations.o
fopen fopen64 fdopen : io_uring_open.o control_backup.o
opendir scandir : store_folder.o
getaddrinfo : flow_resolve.o post.o
'

# needs LIBRARY: a line "object symbol" for each symbol that an object takes from elsewhere. Not by nm: of an object that is
# to be optimized at link time, too, it shows no call that the compiler knows, malloc() for one.
needs()
{
	readelf --syms --wide "$1" | awk '
	/^File: / { object = $2; sub(/.*\(/, "", object); sub(/\)$/, "", object) }
	$7 == "UND" && $8 != "" { print object, $8 }'
}

# check_doors LIBRARY: names each object that goes another way.
check_doors()
{
	needs "$1" | awk -v doors="$doors" '
	BEGIN {
		for (n = split(doors, lines, "\n"); n > 0; n--) {
			if (split(lines[n], side, ":") < 2) continue
			places = side[2] " "
			for (m = split(side[1], names, " "); m > 0; m--) allowed[names[m]] = places
		}
	}
	{
		objects++
		object = $1
		name = $2
		sub(/@.*/, "", name)
		if (name in allowed && !index(allowed[name], " " object " ")) { print object " needs " name; bad = 1 }
	}
	END { exit bad || objects == 0 }'
}

if [ ! -f "$library" ]; then
	echo "not ok $library is not built (make)"
	exit 1
fi
needs_calloc()
{
	needs "$library" | grep -qx 'alloc.o calloc'
}
passes 'what an object needs is seen' needs_calloc
passes 'no object of ours goes past base/alloc' check_doors "$library"

printf '%s\n' '#include <string.h>' 'char *copy(const char *text);' 'char *copy(const char *text) { return strdup(text); }' \
	>"$toy/copy.c"
(cd "$toy" && gcc -c copy.c && ar rcs toy.a copy.o)
fails 'an object that does' 'copy.o needs strdup' check_doors "$toy/toy.a"
tool_test_end
